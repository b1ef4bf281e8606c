"""What a job costs on the offers that can run it: shapes that fit, hours, money, and their doubt.

A price is asked for with `rank(con, read(Path("job.toml")), now)`: every offer that fits,
cheapest first.
"""
