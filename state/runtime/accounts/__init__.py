"""Accounts: their money, their keys, and who may act for them.

money               transfer; balances, treasury
auth_changes        set_auth: keys, guardians, recovery
authorisation       which keys may act for an account
"""
