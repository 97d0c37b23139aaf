"""What a fact rests on, and the declarations an installation begins with.

They are data, so that a service that was only migrated takes in touchpoints, and operators change them as they change
any other declaration. A migration brings them and not the provisioning: it runs once, so that what an operator has
retired stays retired.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = """
ALTER TABLE facts ADD recorded_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE facts ADD permits jsonb NOT NULL DEFAULT '[]';
"""

# Contract: order.delivery, customer.service. By consent or legitimate interest, as the operator decides in the consent
# service: analytics.visits, offers.personal, profile.linking. A purpose that is not active there permits nothing.
DECLARATIONS = """
INSERT INTO authored_versions
    (kind, id, version, state, body, created_at, created_by, active_from, decided_by, decided_at, reason)
SELECT kind, name, 1, 'active', convert_to(body, 'UTF8'), now(), 'rapport', now(), 'rapport', now(), 'default'
FROM (
    SELECT 'source' AS kind, name, format('{"source": {"purpose_id": "%s"}}', purpose) AS body
    FROM (VALUES
        ('webshop', 'order.delivery'), ('app', 'order.delivery'), ('store', 'order.delivery'),
        ('marketplace', 'order.delivery'), ('crm', 'customer.service'), ('support', 'customer.service'),
        ('messaging', 'customer.service')
    ) AS sources (name, purpose)
    UNION ALL
    SELECT 'touchpoint_type', name, format('{"touchpoint_type": {"purpose_ids": [%s"analytics.visits"%s], '
        '"bare_purpose_ids": [%s], "data_category": "%s", "link_purpose_id": "profile.linking"}}',
        CASE WHEN bare = '' THEN '' ELSE format('"%s", ', bare) END,
        CASE WHEN personal THEN ', "offers.personal"' ELSE '' END,
        CASE WHEN bare = '' THEN '' ELSE format('"%s"', bare) END, category)
    FROM (VALUES
        ('viewed', '', true, 'behaviour'), ('searched', '', true, 'behaviour'),
        ('cart_changed', '', true, 'behaviour'),
        ('order_placed', 'order.delivery', true, 'purchases'), ('order_delivered', 'order.delivery', true, 'purchases'),
        ('order_returned', 'order.delivery', true, 'purchases'),
        ('subscription_changed', 'order.delivery', true, 'purchases'),
        ('message_opened', '', true, 'messaging'), ('message_clicked', '', true, 'messaging'),
        ('offer_shown', '', true, 'offers'), ('offer_refused', '', true, 'offers'),
        ('offer_accepted', 'order.delivery', true, 'offers'),
        ('contact_opened', 'customer.service', false, 'service'),
        ('contact_answered', 'customer.service', false, 'service'),
        ('contact_closed', 'customer.service', false, 'service'),
        ('feedback_given', 'customer.service', false, 'service')
    ) AS types (name, bare, personal, category)
    UNION ALL
    SELECT 'attribute', name, format('{"attribute": {"type": "ATTRIBUTE_TYPE_%s", "data_category": "%s", '
        '"codes": [%s]}}', type, category, codes)
    FROM (VALUES
        ('device_class', 'CODE', 'behaviour', '"desktop", "phone", "tablet", "television", "other"'),
        ('entry', 'CODE', 'behaviour', '"direct", "search", "social", "email", "advertisement", "referral"'),
        ('logged_in', 'FLAG', 'behaviour', ''), ('gift', 'FLAG', 'purchases', ''),
        ('discount', 'AMOUNT', 'purchases', ''), ('loyalty_points', 'INTEGER', 'purchases', ''),
        ('promised_for', 'TIME', 'purchases', '')
    ) AS attributes (name, type, category, codes)
) AS declared
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(DECLARATIONS)
