"""PostgreSQL: connections and transactions, the chassis' own tables, migrations and roles."""
