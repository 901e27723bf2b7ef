"""The files of a database: Chroma, the ledger, the exact index, the audit log."""
