"""The names that the chassis itself records, by OpenTelemetry's semantic conventions."""

from opentelemetry.trace import SpanKind

from rapport_chassis.telemetry.names import Attribute, CounterName, HistogramName, SpanName

ERROR_TYPE = Attribute("error.type", "Reason of a known error, else the exception's class.")
RPC_METHOD = Attribute("rpc.method", "Full name of the method: package.Service/Method.")
RPC_STATUS = Attribute("rpc.response.status_code", "gRPC status code, as a name.")
HTTP_METHOD = Attribute("http.request.method", "HTTP method; `_OTHER` when it is none of the usual ones.")
HTTP_ROUTE = Attribute("http.route", "Template of the path; never the path.")
HTTP_STATUS = Attribute("http.response.status_code", "HTTP status.")
CONSUMER = Attribute("messaging.consumer.group.name", "Durable consumer.")
DESTINATION = Attribute("messaging.destination.template", "Stream and event, without partition; never the subject.")
EVENT_ID = Attribute("messaging.message.id", "Event id.")
BATCH_COUNT = Attribute("messaging.batch.message_count", "Messages handled together.")

RPC_SERVER = SpanName("{method}", "A call being answered.", SpanKind.SERVER, (RPC_METHOD, RPC_STATUS, ERROR_TYPE))
RPC_CLIENT = SpanName("{method}", "A call being made.", SpanKind.CLIENT, (RPC_METHOD, RPC_STATUS, ERROR_TYPE))
HTTP_SERVER = SpanName(
    "{method} {route}",
    "An HTTP request being answered; always a trace of its own, as callers are not trusted.",
    SpanKind.SERVER,
    (HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS, ERROR_TYPE),
)
MESSAGE_PUBLISH = SpanName(
    "publish {destination}",
    "Events going out to the broker.",
    SpanKind.PRODUCER,
    (DESTINATION, BATCH_COUNT, ERROR_TYPE),
)
MESSAGE_PROCESS = SpanName(
    "process {destination}",
    "An event being handled; linked to the span that wrote it.",
    SpanKind.CONSUMER,
    (DESTINATION, CONSUMER, EVENT_ID, BATCH_COUNT, ERROR_TYPE),
)

RPC_SERVER_DURATION = HistogramName(
    "rpc.server.call.duration", "s", "Time to answer a call.", (RPC_METHOD, RPC_STATUS, ERROR_TYPE)
)
RPC_CLIENT_DURATION = HistogramName(
    "rpc.client.call.duration", "s", "Time until a call was answered.", (RPC_METHOD, RPC_STATUS, ERROR_TYPE)
)
HTTP_DURATION = HistogramName(
    "http.server.request.duration",
    "s",
    "Time to answer an HTTP request.",
    (HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS, ERROR_TYPE),
)
PROCESS_DURATION = HistogramName(
    "messaging.process.duration", "s", "Time to handle an event.", (CONSUMER, DESTINATION, ERROR_TYPE)
)
PUBLISH_DURATION = HistogramName(
    "messaging.client.operation.duration", "s", "Time until the broker confirmed.", (DESTINATION, ERROR_TYPE)
)
SENT_MESSAGES = CounterName("messaging.client.sent.messages", "{message}", "Events sent.", (DESTINATION, ERROR_TYPE))
CONSUMED_MESSAGES = CounterName(
    "messaging.client.consumed.messages", "{message}", "Events delivered to a consumer.", (CONSUMER, DESTINATION)
)
DROPPED_KEYS = CounterName("rapport.log.dropped_keys", "{key}", "Log values dropped for an undeclared key.")
DROPPED_SPANS = CounterName(
    "rapport.telemetry.dropped_spans", "{span}", "Spans lost because the disk or the loop did not keep up."
)
