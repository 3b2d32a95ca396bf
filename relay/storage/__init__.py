"""The messaging database behind `messaging_database`: tables, transactions, rows, queries and maintenance."""
