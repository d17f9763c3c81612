"""Results as FHIR R4 (4.0.1), to a server or as files; connectors/CONFORMANCE.md says what each resource holds."""
