"""Governance: what validators decide, and what that changes.

proposals           propose and vote
ballots             how votes decide
basis               what a proposal replaces, as it was when it was made
effects             what each kind of proposal checks and changes
upgrades            the protocol moves on at a height
"""
