"""Products, stock, published prices, what was authored, and the chassis tables."""

from alembic import op
from psycopg import sql
from rapport_chassis.database.migrate import runtime_role
from rapport_chassis.database.schema_v1 import create_chassis_tables_v1

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE catalogue_head (
    singleton boolean NOT NULL DEFAULT true,
    epoch text NOT NULL,
    timeline text NOT NULL,
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    holdout_salt bytea NOT NULL,
    CONSTRAINT pk_catalogue_head PRIMARY KEY (singleton),
    CONSTRAINT ck_catalogue_head_singleton CHECK (singleton)
);
INSERT INTO catalogue_head (epoch, timeline, position, recorded_at, holdout_salt)
VALUES (
    gen_random_uuid()::text,
    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
    0,
    now(),
    decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
);

CREATE TABLE product_versions (
    product_id text NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT pk_product_versions PRIMARY KEY (product_id, version)
);
CREATE INDEX ix_product_versions_position ON product_versions (position);

CREATE TABLE published_prices (
    product_id text NOT NULL,
    variant_id text NOT NULL,
    market text NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    net bigint NOT NULL,
    gross bigint NOT NULL,
    currency text NOT NULL,
    since_us bigint NOT NULL,
    cause text NOT NULL,
    promotion_id text NOT NULL,
    binding text NOT NULL,
    findings jsonb NOT NULL,
    CONSTRAINT pk_published_prices PRIMARY KEY (product_id, variant_id, market, version),
    CONSTRAINT ck_published_prices_gross CHECK (net >= 0 AND gross >= net),
    CONSTRAINT ck_published_prices_version CHECK (version > 0)
);
CREATE INDEX ix_published_prices_position ON published_prices (position);

CREATE TABLE stocks (
    product_id text NOT NULL,
    variant_id text NOT NULL,
    market text NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    quantity bigint NOT NULL,
    low_at bigint NOT NULL,
    expected_us bigint,
    occurred_us bigint NOT NULL,
    CONSTRAINT pk_stocks PRIMARY KEY (product_id, variant_id, market),
    CONSTRAINT ck_stocks_quantity CHECK (quantity >= 0 AND low_at >= 0)
);
CREATE INDEX ix_stocks_position ON stocks (position);

CREATE TABLE decided_versions (
    position bigint NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    since_us bigint NOT NULL,
    retired boolean NOT NULL,
    CONSTRAINT pk_decided_versions PRIMARY KEY (position),
    CONSTRAINT ck_decided_versions_kind CHECK (kind IN ('market', 'price_policy', 'promotion'))
);
"""

# What was published, sold or decided is only ever added to.
GRANTS = """
GRANT SELECT, UPDATE (epoch, timeline, position, recorded_at) ON catalogue_head TO {role};
GRANT SELECT, INSERT ON product_versions, published_prices, decided_versions TO {role};
GRANT SELECT, INSERT, UPDATE ON stocks TO {role};
"""


def upgrade() -> None:
    role = runtime_role(op)
    create_chassis_tables_v1(op, role)
    op.execute(TABLES)
    op.execute(GRANTS.format(role=sql.Identifier(role).as_string()))
