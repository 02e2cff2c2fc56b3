"""Orders: work, from its offer to the market to the last payment.

table               their state machine: what may happen in each state
ordering            order and fund
accepting           accept
granting            grant
work_receipts       receipt
closing             close
clock               what happens when a date has come
standstill          no silence counts while the chain stands still
steps               how orders end, return to the market, stall
reviews             orders whose enclave fell or whose resource was withdrawn
fitness             whether an order's enclave may earn
policies            whose policies an order meets
usage               the ledger of use, and uses that keys promise
books               how orders are found and written
attempts            the checks of order and accept one by one
settlement          their money
"""
