"""The WhatsApp channel, which the SMS server hosts: Twilio posts its messages to the same webhook."""
