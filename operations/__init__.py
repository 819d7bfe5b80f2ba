"""What the person on call works with: dead letters, replay, audit, repair.

Works on any deployment, a laptop's or one on AWS, and knows no command line; `scripts` shows it.
"""
