"""Every reason code once: how grave it is, what it leads to, and one sentence for the person who reads it.

`python -m shared.guard.reasons` prints docs/reason-codes.md; a test holds the file to it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

APPLIED: Final = "Applied"
NEEDS_REVIEW: Final = "NeedsReview"
DEFERRED: Final = "Deferred"
REJECTED: Final = "Rejected"
NOTE: Final = ""

_RANK: Final = {REJECTED: 0, NEEDS_REVIEW: 1, DEFERRED: 2, APPLIED: 3, NOTE: 4}


class Reason(NamedTuple):
    """severity: Info, Warning, Error or Critical. leads_to: the decision it forces, "" for a note beside another."""

    severity: str
    leads_to: str
    explanation: str


REASONS: Final[dict[str, Reason]] = {
    # what lets the guard decide alone
    "deterministic_accepted": Reason("Info", APPLIED, "A rule was confident enough and nothing spoke against it."),
    "semantic_accepted": Reason(
        "Info", APPLIED, "Memory or a model was confident, clearly ahead of its runner-up, and no rule spoke."
    ),
    # what denies
    "external_action_denied": Reason(
        "Critical", REJECTED, "A specialist asked for an action on the outside world, which none of them may do."
    ),
    # what sends to a person: the transaction itself
    "already_in_review": Reason("Info", NEEDS_REVIEW, "Only a person takes a transaction out of review."),
    "state_not_open": Reason("Warning", NEEDS_REVIEW, "The transaction was decided before; the guard decides once."),
    "amount_over_limit": Reason("Info", NEEDS_REVIEW, "The amount is above what the policy lets pass unseen."),
    "currency_without_limit": Reason("Info", NEEDS_REVIEW, "The policy has no limit for this currency, so it is zero."),
    "chart_missing": Reason("Error", NEEDS_REVIEW, "The tenant's list of categories is empty or unknown."),
    # the lane
    "routing_specialist_not_registered": Reason(
        "Error", NEEDS_REVIEW, "The specialist of this lane is not listed, or gave no answer at all."
    ),
    "routing_specialist_disabled": Reason("Warning", NEEDS_REVIEW, "The specialist of this lane is switched off."),
    "lane_needs_person": Reason("Info", NEEDS_REVIEW, "Only categorization may decide alone; this lane suggests."),
    # the proposals
    "no_proposal": Reason("Info", NEEDS_REVIEW, "No specialist had an acceptable proposal."),
    "deterministic_below_threshold": Reason("Info", NEEDS_REVIEW, "A rule spoke, but not confidently enough."),
    "semantic_below_threshold": Reason("Info", NEEDS_REVIEW, "Memory or a model spoke, but not confidently enough."),
    "semantic_margin_thin": Reason("Info", NEEDS_REVIEW, "The best semantic proposal is too close to the next."),
    "rules_disagree": Reason("Warning", NEEDS_REVIEW, "Two rules propose different categories."),
    "rules_and_memory_disagree": Reason("Warning", NEEDS_REVIEW, "A rule and memory or a model disagree."),
    "proposal_unknown_target": Reason("Warning", NEEDS_REVIEW, "A proposal named no category that exists; dropped."),
    "proposal_outside_chart": Reason("Warning", NEEDS_REVIEW, "A proposal is not in this tenant's list; dropped."),
    "proposal_confidence_missing": Reason(
        "Warning", NEEDS_REVIEW, "A proposal came without a confidence from 0 to 1 and was dropped."
    ),
    "proposal_without_rationale": Reason("Warning", NEEDS_REVIEW, "A proposal gave no reason and was dropped."),
    "proposal_malformed": Reason("Warning", NEEDS_REVIEW, "An opinion was not of the agreed shape; dropped."),
    "specialist_not_listed": Reason("Error", NEEDS_REVIEW, "Somebody the policy does not list has answered."),
    # how specialists fail: any failure forces a review, because what it would have said is not known
    "specialist_timed_out": Reason("Warning", NEEDS_REVIEW, "A specialist did not answer in its time."),
    "specialist_raised": Reason("Error", NEEDS_REVIEW, "A specialist broke down."),
    "specialist_rubbish": Reason("Error", NEEDS_REVIEW, "A specialist answered something unusable."),
    # concerns
    "amount_unusual_for_merchant": Reason(
        "Warning", NEEDS_REVIEW, "The amount is far outside what this merchant usually charges."
    ),
    "amount_unusual_for_category": Reason(
        "Warning", NEEDS_REVIEW, "The amount is far outside what is usually spent in this category."
    ),
    "duplicate_charge": Reason("Warning", NEEDS_REVIEW, "The same charge was made days ago, which is not its habit."),
    "first_seen_high_amount": Reason("Warning", NEEDS_REVIEW, "A high amount at a merchant never seen before."),
    "anomaly_term": Reason("Warning", NEEDS_REVIEW, "The text speaks of fraud, a dispute or something unauthorised."),
    "descriptor_instructs": Reason(
        "Critical", NEEDS_REVIEW, "The text from outside tries to give instructions; it is data and was not followed."
    ),
    "unlisted_concern": Reason("Warning", NEEDS_REVIEW, "A specialist raised a concern that has no listed code."),
    # notes
    "model_proposals_truncated": Reason("Info", NOTE, "More model proposals came than the policy lets be considered."),
    "imported_history": Reason("Info", NOTE, "People gave this category before the transaction was imported."),
    # what people did
    "person_approve": Reason("Info", NOTE, "A reviewer found the suggestion right."),
    "person_reclassify": Reason("Info", NOTE, "A reviewer chose another category."),
    "routed_by_person": Reason("Info", NEEDS_REVIEW, "A reviewer sent the transaction (back) to the list."),
    # what delivery did: reasons of parked commands, and what they leave on a transaction
    "command_parked": Reason("Error", NEEDS_REVIEW, "The classification was parked; the next code says why."),
    "malformed_envelope": Reason("Error", NEEDS_REVIEW, "The message is no command envelope; kept byte for byte."),
    "unauthenticated_command": Reason(
        "Error", NEEDS_REVIEW, "Nobody we know sent this command: no run vouches for it and no producer is listed."
    ),
    "command_id_reused": Reason("Error", NEEDS_REVIEW, "Another command was handled under this id before."),
    "facts_differ": Reason("Error", NEEDS_REVIEW, "A transaction with this id and other facts is already stored."),
    "retries_exhausted": Reason("Error", NEEDS_REVIEW, "The command failed for passing reasons too often."),
    "unexpected_error": Reason("Error", NEEDS_REVIEW, "Our own code failed on this command three times."),
    "dead_lettered": Reason("Error", NEEDS_REVIEW, "The platform gave the message up before it could be recorded."),
    "transaction_already_decided": Reason("Info", NOTE, "The same transaction came again; its decision stands."),
    # why a specialist proposed (rationale codes of the specialists shipped here)
    "mcc_rule": Reason("Info", NOTE, "The merchant category code belongs to this category."),
    "keyword_rule": Reason("Info", NOTE, "A word or name in the text belongs to this category."),
    "mcc_and_keyword": Reason("Info", NOTE, "Merchant category code and text agree."),
    "memory_recalled": Reason("Info", NOTE, "People's earlier reviews of this merchant say so."),
    "transfer_counterpart": Reason("Info", NOTE, "Another own account shows the same amount the other way."),
    "transfer_own_account_named": Reason("Info", NOTE, "The text names another account of the same tenant."),
    "transfer_words": Reason("Info", NOTE, "The text speaks of moving money between own accounts."),
    "income_words": Reason("Info", NOTE, "Money came in and the text says what for."),
    "income_regular": Reason("Info", NOTE, "Similar amounts come in from this payer at a steady interval."),
    "debt_words": Reason("Info", NOTE, "The text speaks of a loan, its instalment or its interest."),
    "investment_words": Reason("Info", NOTE, "The text speaks of securities, a broker or a savings plan."),
    "lane_mcc": Reason("Info", NOTE, "The merchant category code belongs to this lane."),
    # a wish for an action: what denies it
    "policy_context_missing": Reason("Error", REJECTED, "There is no policy to judge by, so only advice is given."),
    "action_not_listed": Reason("Warning", REJECTED, "The policy does not list this action."),
    "action_disabled": Reason("Warning", REJECTED, "The policy has switched this action off."),
    "backend_not_configured": Reason("Warning", REJECTED, "This deployment has no backend that could carry it out."),
    "requester_role_missing": Reason("Warning", REJECTED, "Whoever asks lacks the role that may ask for this."),
    "argument_not_listed": Reason("Warning", REJECTED, "An argument has a value that the policy does not list."),
    "amount_denied": Reason("Warning", REJECTED, "The amount is above what anybody may allow."),
    # what makes it wait for people, or not
    "approval_always": Reason("Info", DEFERRED, "The policy wants a person's signature for every such action."),
    "approval_above_limit": Reason("Info", DEFERRED, "The amount is above what is done without a signature."),
    "approval_without_role": Reason("Info", DEFERRED, "Whoever asks lacks the role that could do it alone."),
    "two_people_needed": Reason("Info", DEFERRED, "The amount takes the signatures of two different people."),
    "several_together": Reason(
        "Info", DEFERRED, "Together with what was asked for lately the amount takes two different people's signatures."
    ),
    "edited_by_person": Reason("Info", DEFERRED, "Somebody edited the card, so two different people must sign it."),
    "action_allowed": Reason("Info", APPLIED, "The policy lets this action be done without a signature."),
    # why a card takes no answer, or allows nothing
    "rejected_by_person": Reason("Info", REJECTED, "A person with the card's role said no."),
    "approval_expired": Reason("Warning", REJECTED, "The card's time ran out, which denies what it asked for."),
    "approval_closed": Reason("Info", REJECTED, "The card is settled and takes no further answers."),
    "already_signed": Reason("Info", NOTE, "A person answers a card once; a quorum takes different people."),
    "requester_may_not_sign": Reason("Warning", REJECTED, "Whoever asks may not sign the own request here."),
    "card_changed": Reason("Warning", REJECTED, "The card is no longer the one that was shown or signed."),
    "edit_denied": Reason("Warning", REJECTED, "The policy denies what an edit made of the action."),
    "action_changed": Reason("Critical", REJECTED, "The stored action is not the one that its digest was made of."),
    "arguments_changed": Reason("Critical", REJECTED, "The card's own copy of the action is not what was stored."),
    "signature_mismatch": Reason("Critical", REJECTED, "A signature is not on this card or not on this action."),
    "approval_mismatch": Reason("Critical", REJECTED, "The card was made for another action, or for another tenant."),
    "approval_consumed": Reason("Warning", REJECTED, "The card was used before; it counts once."),
    "approval_not_given": Reason("Warning", REJECTED, "The card is not approved."),
    "quorum_missing": Reason("Critical", REJECTED, "The card says approved, but too few people have signed it."),
    "approval_warned": Reason("Warning", NOTE, "A card expires soon and still waits for people."),
    "approval_escalated": Reason("Error", NOTE, "A card has waited for long; somebody with its role must look."),
    # why an action was not carried out, or not to its end
    "record_altered": Reason(
        "Critical", REJECTED, "The stored action, its card or their record is not what was committed; not carried out."
    ),
    "action_invalid": Reason("Error", REJECTED, "The stored arguments no longer have the shape of the action."),
    "action_expired": Reason("Warning", REJECTED, "The request is older than the policy lets it be carried out."),
    "policy_stricter": Reason("Warning", REJECTED, "Today's policy asks for more than was agreed to."),
    "approval_missing": Reason("Error", REJECTED, "The action needs a card and there is none for it."),
    "permission_withdrawn": Reason("Warning", REJECTED, "Somebody who asked or signed no longer has the role for it."),
    "precondition_failed": Reason("Warning", REJECTED, "The world has changed since: it no longer fits the action."),
    "transaction_missing": Reason("Warning", REJECTED, "A transaction of the action is not there."),
    "decision_version_stale": Reason("Warning", REJECTED, "A transaction was decided anew since it was looked at."),
    "category_unknown": Reason("Warning", REJECTED, "The category is not in the tenant's chart."),
    "account_not_own": Reason("Error", REJECTED, "The tenant may not pay from this account."),
    "account_unknown": Reason("Warning", REJECTED, "The backend knows no such account."),
    "account_not_active": Reason("Warning", REJECTED, "An account is frozen or closed."),
    "currency_mismatch": Reason("Warning", REJECTED, "An account is kept in another currency."),
    "insufficient_funds": Reason("Warning", REJECTED, "The account holds less than the amount."),
    "effect_done": Reason("Info", APPLIED, "The action was carried out."),
    "effect_refused": Reason("Warning", REJECTED, "The backend refused the action; nothing was done."),
    "effect_unconfirmed": Reason("Error", NEEDS_REVIEW, "Nobody can tell whether it was done; a person must look."),
    "effect_not_found": Reason("Error", NEEDS_REVIEW, "The backend has never seen this action's key."),
    "action_settled": Reason("Info", NOTE, "The action was already past this step; nothing was done again."),
    "data_erased": Reason("Info", REJECTED, "What it was about was erased on request; nothing (more) is done for it."),
    # conversations
    "approval_superseded": Reason("Info", REJECTED, "A newer message of the requester took the place of the card."),
    "corrected_by_requester": Reason("Info", REJECTED, "The requester said it otherwise while the card waited."),
    "withdrawn_by_requester": Reason("Info", REJECTED, "The requester took it back while the card waited."),
    "superseded": Reason("Info", NOTE, "A newer message took the place of this one; it is not answered."),
    "model_unavailable": Reason(
        "Warning", NOTE, "The model gave no answer: advice by the grammar, and nothing was asked for in the world."
    ),
    "message_missing": Reason("Error", NEEDS_REVIEW, "The message of this command is not there (any more)."),
    "message_done_with": Reason("Info", NOTE, "The message was answered or superseded before; nothing was said twice."),
}


def strictest_first(codes: dict[str, None]) -> tuple[str, ...]:
    """The codes with the gravest outcome first; within one outcome, in the order in which they were found."""
    return tuple(sorted(codes, key=lambda code: _RANK[REASONS[code].leads_to]))


def as_markdown() -> str:
    """docs/reason-codes.md."""
    lines = [
        "# Reason codes",
        "",
        "Generated by `python -m shared.guard.reasons`. A decision carries at least one; the first is the one to show.",
        "",
        "| code | severity | leads to | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{code}` | {r.severity} | {r.leads_to or 'a note'} | {r.explanation} |" for code, r in REASONS.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(as_markdown())
