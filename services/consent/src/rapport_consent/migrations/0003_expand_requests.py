"""Privacy requests: the register, tasks and their answers, the vault, codes, holds, packages and certificates."""

from alembic import op
from rapport_chassis.database.migrate import runtime_role

revision = "0003"
down_revision = "0002"

TABLES = """
CREATE TABLE privacy_requests (
    request_id text NOT NULL,
    state text NOT NULL,
    stage text NOT NULL DEFAULT '',
    profile_id text NOT NULL DEFAULT '',
    assignee text NOT NULL DEFAULT '',
    rights text[] NOT NULL,
    next_action text NOT NULL,
    due_on date,
    received_at timestamptz NOT NULL,
    closed_at timestamptz,
    look_at timestamptz,
    version bigint NOT NULL DEFAULT 1,
    document jsonb NOT NULL,
    CONSTRAINT pk_privacy_requests PRIMARY KEY (request_id),
    CONSTRAINT ck_privacy_requests_state CHECK (state IN ('RECEIVED', 'VERIFIED', 'RUNNING', 'COMPLETED', 'REFUSED',
        'CANCELLED'))
);
CREATE INDEX ix_privacy_requests_look_at ON privacy_requests (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX ix_privacy_requests_due_on_request_id ON privacy_requests (due_on, request_id);
CREATE INDEX ix_privacy_requests_profile_id ON privacy_requests (profile_id) WHERE profile_id <> '';

CREATE TABLE privacy_active_rights (
    profile_id text NOT NULL,
    right_code text NOT NULL,
    request_id text NOT NULL,
    CONSTRAINT pk_privacy_active_rights PRIMARY KEY (profile_id, right_code)
);
CREATE INDEX ix_privacy_active_rights_request_id ON privacy_active_rights (request_id);

CREATE TABLE privacy_asked_tasks (
    task_id text NOT NULL,
    request_id text NOT NULL,
    hold_id text,
    participant text NOT NULL,
    participant_kind text NOT NULL,
    kind smallint NOT NULL,
    attempt integer NOT NULL,
    asked_at timestamptz NOT NULL,
    due_at timestamptz,
    answered_at timestamptz,
    outcome smallint,
    answer bytea,
    confirmed_by text NOT NULL DEFAULT '',
    CONSTRAINT pk_privacy_asked_tasks PRIMARY KEY (task_id),
    CONSTRAINT ck_privacy_asked_tasks_answer CHECK ((answer IS NULL) = (answered_at IS NULL))
);
CREATE UNIQUE INDEX uq_privacy_asked_tasks_attempt
    ON privacy_asked_tasks (request_id, participant, kind, attempt);
CREATE INDEX ix_privacy_asked_tasks_hold_id ON privacy_asked_tasks (hold_id) WHERE hold_id IS NOT NULL;

CREATE TABLE privacy_vault (
    request_id text NOT NULL,
    sealed bytea NOT NULL,
    notification_id text,
    CONSTRAINT pk_privacy_vault PRIMARY KEY (request_id)
);

CREATE TABLE privacy_codes (
    request_id text NOT NULL,
    wanted_at timestamptz NOT NULL,
    sent_at timestamptz,
    expires_at timestamptz,
    salt bytea,
    digest bytea,
    attempts integer NOT NULL DEFAULT 0,
    codes integer NOT NULL DEFAULT 1,
    CONSTRAINT pk_privacy_codes PRIMARY KEY (request_id)
);
CREATE INDEX ix_privacy_codes_wanted ON privacy_codes (wanted_at) WHERE sent_at IS NULL;

CREATE TABLE privacy_holds (
    hold_id text NOT NULL,
    task_request_id text NOT NULL,
    profile_id text NOT NULL,
    records bytea NOT NULL,
    matter_id text NOT NULL,
    ground text NOT NULL,
    review_at timestamptz NOT NULL,
    placed_at timestamptz NOT NULL,
    placed_by text NOT NULL,
    released_at timestamptz,
    released_by text NOT NULL DEFAULT '',
    CONSTRAINT pk_privacy_holds PRIMARY KEY (hold_id)
);
CREATE INDEX ix_privacy_holds_profile_id ON privacy_holds (profile_id);
CREATE UNIQUE INDEX uq_privacy_holds_task_request_id ON privacy_holds (task_request_id);

CREATE TABLE privacy_packages (
    request_id text NOT NULL,
    right_code text NOT NULL,
    sealed_key bytea NOT NULL,
    sha256 bytea NOT NULL,
    size bigint NOT NULL,
    sealed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_privacy_packages PRIMARY KEY (request_id, right_code)
);
CREATE INDEX ix_privacy_packages_expires_at ON privacy_packages (expires_at);

CREATE TABLE privacy_package_pieces (
    request_id text NOT NULL,
    right_code text NOT NULL,
    number integer NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT pk_privacy_package_pieces PRIMARY KEY (request_id, right_code, number)
);

CREATE TABLE privacy_certificates (
    request_id text NOT NULL,
    certificate_id text NOT NULL,
    document bytea NOT NULL,
    signature bytea NOT NULL,
    kid text NOT NULL,
    pdf bytea NOT NULL,
    issued_at timestamptz NOT NULL,
    CONSTRAINT pk_privacy_certificates PRIMARY KEY (request_id)
);

CREATE TABLE privacy_letters (
    request_id text NOT NULL,
    kind text NOT NULL,
    marked jsonb NOT NULL,
    sent bytea,
    CONSTRAINT pk_privacy_letters PRIMARY KEY (request_id, kind)
);
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE ON privacy_requests, privacy_asked_tasks, privacy_holds, privacy_certificates TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON privacy_active_rights, privacy_vault, privacy_codes, privacy_packages,
    privacy_package_pieces, privacy_letters TO {role};
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GRANTS.format(role=f'"{runtime_role(op)}"'))
