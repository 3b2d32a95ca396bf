"""The inner parts that the programs share; imports none of the files at the top level."""
