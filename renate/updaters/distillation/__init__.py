"""What keeps outputs or features as an earlier model had them."""
