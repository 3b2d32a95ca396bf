"""The inside of the SMS service: forms and signatures, the REST API, and text as telephones count it."""
