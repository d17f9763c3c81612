"""Phrases by which laboratories and departments say that what they sent is another person's; folded."""

#: In eight languages, as `phrases` takes them.
WRONG_PERSON = """wrong patient|falscher patient|falschen patienten|mauvais patient|erreur de patient
    paciente equivocado|error de paciente|paziente errato|errore di paziente|verkeerde patient|doente errado
    paciente errado|fel patient"""
