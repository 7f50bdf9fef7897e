"""The outbox's part in statements that change many people at once: what they tell is written by the same statement.

Where no endpoint of the business wants to know it costs one look-up in a small index.
"""

from server.domain.webhook_events import EventKind


def recipients_told(failed: str, broadcast_id: str, business_id: str) -> str:
    """A CTE that tells of recipients who failed, for a statement that changes them.

    failed: the name of a CTE with `id`, `status`, `phone`, `message_id`, `error_code`, `error_message`; those whose
    status is no other than `failed` are told of. broadcast_id, business_id: SQL.
    """
    return f"""failures_told AS (
        INSERT INTO webhook_deliveries (business_id, endpoint_id, event, data)
        SELECT e.business_id, e.id, '{EventKind.RECIPIENT_FAILED}',
               json_build_object('broadcast_id', {broadcast_id}, 'recipient_id', f.id, 'phone', f.phone,
                                 'message_id', f.message_id, 'error_code', f.error_code,
                                 'error_message', f.error_message)
          FROM webhook_endpoints e, {failed} f
         WHERE e.business_id = {business_id} AND e.disabled_at IS NULL
           AND '{EventKind.RECIPIENT_FAILED}' = ANY(e.events) AND f.status = 'failed'
    )"""  # noqa: S608 - names of our own statements


def opt_outs_told(added: str, business_id: str) -> str:
    """A CTE that tells of people who opted out. added: the name of a CTE with `phone` and `reason`."""
    return f"""opt_outs_told AS (
        INSERT INTO webhook_deliveries (business_id, endpoint_id, event, data)
        SELECT e.business_id, e.id, '{EventKind.CONTACT_OPTED_OUT}',
               json_build_object('phone', s.phone, 'reason', s.reason,
                                 'contact_id', (SELECT c.id FROM contacts c
                                                 WHERE c.business_id = e.business_id AND c.phone = s.phone))
          FROM webhook_endpoints e, {added} s
         WHERE e.business_id = {business_id} AND e.disabled_at IS NULL
           AND '{EventKind.CONTACT_OPTED_OUT}' = ANY(e.events)
    )"""  # noqa: S608 - names of our own statements
