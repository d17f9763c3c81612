"""What a pretrained encoder must be worth more than: networks trained from nothing on the same ECGs, other encoders."""
