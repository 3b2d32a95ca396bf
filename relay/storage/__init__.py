"""The inside of the messaging database: tables, transactions, the rows of each verb, reports and maintenance."""
