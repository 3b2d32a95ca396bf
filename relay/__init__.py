"""The inner parts that the rooms of the relay share; imports none of the files at the top level."""
