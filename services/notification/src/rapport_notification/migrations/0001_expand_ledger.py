"""The send ledger, preferences, caps, suppressions, and the chassis tables. Times are microseconds since 1970."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role
from rapport_chassis.database.schema_v1 import create_chassis_tables_v1

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE notifications (
    notification_id text NOT NULL,
    recipient_id text NOT NULL,
    class smallint NOT NULL,
    priority smallint NOT NULL,
    category text NOT NULL,
    purpose_id text NOT NULL,
    brand_id text NOT NULL,
    market text NOT NULL,
    template_id text NOT NULL,
    template_brand text NOT NULL,
    template_version integer NOT NULL,
    channels jsonb NOT NULL,
    content bytea NOT NULL,
    decision_id text NOT NULL,
    decision_ids text[] NOT NULL,
    cause text NOT NULL,
    cause_event_id text NOT NULL,
    trigger_id text NOT NULL,
    supersede_key text NOT NULL,
    about_us bigint NOT NULL,
    cancelled_by jsonb NOT NULL,
    cancel_keys text[] NOT NULL,
    fallback_us bigint NOT NULL,
    at_least_epoch text NOT NULL,
    at_least_position bigint NOT NULL,
    accepted_us bigint NOT NULL,
    not_before_us bigint NOT NULL,
    locale text NOT NULL,
    channel smallint NOT NULL,
    tried smallint[] NOT NULL,
    ended_us bigint NOT NULL,
    delivered_us bigint NOT NULL,
    look_us bigint NOT NULL,
    digest bytea NOT NULL,
    receipts integer NOT NULL,
    state smallint NOT NULL,
    fence bigint NOT NULL,
    attempt integer NOT NULL,
    series integer NOT NULL,
    due_us bigint NOT NULL,
    expires_us bigint NULL,
    leased_until_us bigint NOT NULL,
    provider text NOT NULL,
    begun_us bigint NOT NULL,
    series_us bigint NOT NULL,
    repeat_until_us bigint NOT NULL,
    verdict smallint NULL,
    hold smallint NULL,
    drop_reason smallint NULL,
    ending smallint NULL,
    CONSTRAINT pk_notifications PRIMARY KEY (notification_id),
    CONSTRAINT ck_notifications_state CHECK (state BETWEEN 1 AND 10)
);
CREATE UNIQUE INDEX uq_notifications_cause ON notifications (recipient_id, cause) WHERE cause <> '';
CREATE INDEX ix_notifications_waiting ON notifications (priority, brand_id, due_us) WHERE state IN (1, 2);
CREATE INDEX ix_notifications_doubt ON notifications (look_us) WHERE state IN (3, 5);
CREATE INDEX ix_notifications_recipient_id ON notifications (recipient_id, accepted_us);
CREATE INDEX ix_notifications_accepted_us ON notifications (accepted_us, notification_id);
CREATE INDEX ix_notifications_supersede ON notifications (recipient_id, supersede_key) WHERE supersede_key <> '';
CREATE INDEX ix_notifications_ambiguous ON notifications (accepted_us) WHERE verdict = 2;
CREATE INDEX ix_notifications_cancel ON notifications USING gin (cancel_keys) WHERE state IN (1, 2);

CREATE TABLE attempts (
    notification_id text NOT NULL,
    attempt integer NOT NULL,
    channel smallint NOT NULL,
    provider text NOT NULL,
    began_us bigint NOT NULL,
    ended_us bigint NOT NULL,
    outcome smallint NOT NULL,
    code integer NOT NULL,
    status text NOT NULL,
    reference text NOT NULL,
    address_hash bytea NOT NULL,
    contact_point_id text NOT NULL,
    permission bytea NOT NULL,
    person_id text NOT NULL,
    places jsonb NOT NULL,
    place_state smallint NOT NULL,
    CONSTRAINT pk_attempts PRIMARY KEY (notification_id, attempt)
);
CREATE INDEX ix_attempts_address_hash ON attempts (address_hash, began_us);

CREATE TABLE receipts (
    notification_id text NOT NULL,
    number integer NOT NULL,
    canonical bytea NOT NULL,
    digest bytea NOT NULL,
    CONSTRAINT pk_receipts PRIMARY KEY (notification_id, number)
);

CREATE TABLE preferences (
    profile_id text NOT NULL,
    category text NOT NULL,
    channel smallint NOT NULL,
    wanted boolean NOT NULL,
    set_us bigint NOT NULL,
    CONSTRAINT pk_preferences PRIMARY KEY (profile_id, category, channel)
);

CREATE TABLE people (
    profile_id text NOT NULL,
    version bigint NOT NULL,
    zone text NOT NULL,
    country text NOT NULL,
    place_us bigint NOT NULL,
    CONSTRAINT pk_people PRIMARY KEY (profile_id)
);

CREATE TABLE cap_counts (
    profile_id text NOT NULL,
    cap text NOT NULL,
    day date NOT NULL,
    taken integer NOT NULL,
    CONSTRAINT pk_cap_counts PRIMARY KEY (profile_id, cap, day)
);
CREATE INDEX ix_cap_counts_day ON cap_counts (day);

CREATE TABLE suppressions (
    address_hash bytea NOT NULL,
    channel smallint NOT NULL,
    reason text NOT NULL,
    since_us bigint NOT NULL,
    until_us bigint NULL,
    CONSTRAINT pk_suppressions PRIMARY KEY (address_hash, channel),
    CONSTRAINT ck_suppressions_reason CHECK (reason IN ('hard', 'soft', 'complaint'))
);
"""

# Erasing a person deletes rows; receipts are otherwise only added to.
GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON notifications, attempts, preferences, people, cap_counts TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON suppressions TO {role};
GRANT SELECT, INSERT, DELETE ON receipts TO {role};
"""


def upgrade() -> None:
    role = runtime_role(op)
    create_chassis_tables_v1(op, role)
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(role).as_string()))
