"""A person's own customers, consents and transactions, from files and a mapping: read, understood, sent, accounted for.

`mapping` says what a file holds; `cells`, `records` and `orders` make contract messages of its rows, without I/O;
`reading` reads CSV, JSON lines and Parquet; `understanding` shows what would happen; `run` sends it and goes on after
an interruption by `journal`; `rejects` says what was not taken, and why.
"""
