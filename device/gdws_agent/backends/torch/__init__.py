"""Networks as eager torch modules."""
