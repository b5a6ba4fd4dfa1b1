"""How people say what they want: the phrases of each intent, and the words around a wish. Data alone.

The language is that of `patterns.py`. A question is recognised anywhere in its clause. A wish only where the clause
begins with it, once the `OPENERS` are peeled off: "could you please | transfer 50 to Anna". Whatever else mentions a
transfer ("my bank transfers", "he asked me to pay") is not a wish. Where two match, the one listed first is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Phrases = tuple[str, ...]

WISHES: Final[Mapping[str, Phrases]] = {
    "change_notifications": (

        "turn|switch on|off .. notification|notifications|alert|alerts|email|emails|sms|texts|push|reminder|reminders",
        "turn|switch .. notification|notifications|alert|alerts|email|emails|sms|texts|push|reminders on|off",

        "enable|disable|mute|unmute|activate|deactivate|silence|stop|start .. notification|notifications|alert|alerts",
        "enable|disable|mute|unmute|activate|deactivate|silence|stop|start .. emails|sms|texts|push|reminders",
        "stop|start notifying|alerting|emailing|texting|reminding|messaging|pinging me|us",
        "notify|alert|remind|warn|ping me|us", "email|text|message me|us when|about|if|whenever|for|every",
        "let me know when|whenever|if|about", "tell me when|whenever", "subscribe|unsubscribe me? to|from",
        "send|give|get|receive|have|want me|us? .. notification|notifications|alert|alerts|reminder|reminders",
        "send|get|receive me|us? email|emails|sms|texts|push about|when|for|on",
        "be notified|alerted|warned|reminded|emailed",
    ),
    "draft_message": (
        "draft", "compose", "write|prepare .. message|email|mail|note|letter|reply|text|response|reminder",
        "write to", "write <quote> to",
    ),
    "send_message": (
        "send|forward|drop .. message|email|mail|note|letter|reply|text|sms|greeting|greetings",
        "text|email|message|mail",
        "tell|inform him|her|them that|about|to",
    ),
    "export_statement": (
        "export", "download",

        "send|give|get|email|mail|print|generate|create|make|save|produce|need|have .. statement|statements|csv|pdf|spreadsheet|export",
    ),
    "set_budget": (

        "set|make|change|raise|lower|increase|decrease|reduce|put|adjust|update|create|add|start|bump|cut .. budget|budgets|limit|cap",
        "budget .. <amount>", "limit|cap|restrict .. <amount>", "keep .. under|below|to|within|at <amount>",
        "set|put .. spending .. to|at <amount>", "spend no|not more than <amount>",
    ),
    "request_payment": (
        "request|demand .. payment|payments|money|funds|cash|transaction|transfer|amount|total|refund",
        "request|demand|collect|claim .. <amount>",
        "request|collect|demand from",
        "do|make|place|send|submit|set|put|process|create|start|initiate up|in|through? .. payment|money|funds request",
        "do|make|place|send|submit|process|create|start .. request for .. payment|money|funds|<amount>",
        "ask .. for .. <amount>|money|payment|funds|cash", "invoice|bill|charge .. <amount>",
        "get .. <amount> from|back",
    ),
    "recategorise": (
        "recategorise|recategorize|reclassify|recode|relabel|retag",
        "change|fix|correct|update|switch .. category|categories|classification|label",
        "categorise|categorize|classify|label|tag|mark|file|treat|count|book|log .. as|under|in|into|to",
        "put|move|place|sort|shift .. under|in|into|to",
    ),
    "transaction": (  # names no direction: a payment, unless a request for one is being talked about
        "make|do|set|process|complete up? .. transaction",
        "transaction i|we need|want|have to", "make the|this|that|it .. transfer|payment|private|public",
    ),
    "transfer": (
        "transfer|transferring|wire|wiring|remit", "send|pay|give|move|lend|deposit|sending|paying .. <amount>",
        "send|sent|move|give|forward|deposit|sending it|them|money|funds|fund|cash|some|to|from|the",
        "send|pay|repay|paying",

        "make|do|set|initiate|start|process|complete|execute|arrange|perform|making|doing up? .. transfer|payment|remittance",
    ),
}  # fmt: skip
"""`send_message` is no intent: nothing is ever sent, so it asks whether to draft."""

WISHED_FOR: Final[Mapping[str, Phrases]] = {
    "export_statement": ("a|my|the? .. statement|statements|csv|pdf|export",),
    "change_notifications": ("no? more? email|emails|sms|texts|push? notifications|alerts|reminders|emails",),
    "request_payment": ("a|the|another? private? payment|money request", "<amount> .. requested"),
    "transaction": ("a|another|the? private? transaction",),
    "transfer": ("a|another|the? bank|money|fund|wire? transfer|payment", "<amount> .. transferred|sent|paid|wired"),
    "draft_message": ("a? draft",),
}  # fmt: skip
"""Things that are a wish only after "I want", "I need" and the like."""

QUESTIONS: Final[Mapping[str, Phrases]] = {
    "explain_decision": (
        "why .. categorised|categorized|classified|flagged|marked|labelled|labeled|rejected|denied|approved|applied",
        "why .. under|in|as|put|review|waiting|blocked|held|deferred|needs|filed|booked|counted|tagged|treated",
        "why .. transaction|payment|charge|purchase|decision|category|decide|decided|think|thought",
        "explain .. decision|category|charge|transaction|payment|classification|review|why|<quote>",
        "explain", "reason|reasons|reasoning|rationale|grounds for|behind|of", "what made you",
        "on what basis|grounds", "how come",
        "who|what decided|approved|categorised|categorized|classified|flagged|rejected",
        "how did you|it .. decide|categorise|categorize|classify|choose|pick|end",
        "how was|were .. decided|categorised|categorized|classified|chosen",
    ),
    "cash_pressure": (
        "afford", "run|running|runs out|short|low of|on? money|cash|funds",
        "cash flow|crunch|pressure|position|squeeze|shortfall|shortage|outlook|forecast|runway",
        "cashflow", "enough|sufficient money|cash|funds|left|for|to|until|till", "make it to|till|until|through",
        "make ends meet", "payday", "overdrawn|overdraft",
        "bills|bill|payments|subscriptions|debits|charges .. coming|due|upcoming|ahead|left|still",
        "upcoming|coming|next|outstanding|due bill|bills|payment|payments|charges|debits|expenses|subscriptions",
        "what|which|anything is|are|bills|payments .. due",
        "recurring|regular|fixed|standing charges|charge|payments|costs|bills|expenses|subscriptions|debits|orders",
        "subscriptions|subscription .. have|pay|paying|costing", "my|our|all|list|show subscriptions", "tight",
        "go|be|going into|in? the? red|negative|broke|short",
        "last|lasts until|till|to", "cover .. rent|bills|payments|mortgage|expenses", "how long .. last",
    ),
    "budget_status": (
        "budget|budgets", "left|remaining to spend", "left|remaining for|on|in", "how much more .. spend",
        "over|under|within my? limit|limits", "overspent|overspending|overspend",
        "how am|are i|we doing .. on|for|with", "on track",
    ),
    "find_transactions": (

        "show|list|find|see|search|display|view|get|pull|look|give|fetch|which|what|any|all .. transactions|transaction|payments|purchases|purchase|charges|debits|refunds|refund|deposits|withdrawals|transfers|expenses|entries|orders",
        "when did|was .. last|pay|paid|buy|charged|charge|payment|purchase|shop|receive|get|arrive",
        "what|where|who did|have i|we .. buy|purchase|shop|order|bought|pay|paid|order|send",

        "did|has|have|was|were i|we|they|he|she|it|my|the|anyone|somebody|someone .. pay|paid|buy|receive|received|refund|refunded|charge|charged|arrive|arrived|booked|bought|come|gone|go",

        "transactions|transaction|purchases|charges|payments with|from|at|to|over|under|above|below|in|on|of|for|between|<days>",

        "last|latest|recent|biggest|largest|smallest .. transactions|transaction|payments|purchases|charges|expenses|purchase|payment|expense|charge",
        "what is|was|are|were the|this|that|these? .. charge|payment|transaction|debit|charges|payments",
        "search for|my", "look for|up",
        "find|show|list .. <amount>|<quote>", "everything i|we bought|paid|spent", "transactions",
        "who paid|charged|sent",
    ),
    "spending": (

        "how much .. spend|spent|spending|pay|paid|cost|costs|costing|going|go|goes|went|transfer|transferred|send|sent|blow|blew|drop|dropped",
        "what did|have|do|does|is|are .. spend|spent|pay|paid|cost|spending|costing",
        "where did|does|is|has|have .. money|cash|<amount> .. go|going|gone|went",
        "where .. money go|going|gone|goes|went",
        "spend|spent|spending", "expenses|expenditure|expenditures|outgoings|spendings|costs",
        "total|sum|average .. for|on|at|paid", "how much for|on", "how much was|were|is|are my|the|our",
        "what .. cost|costs me|us",
    ),
    "balance": (
        "balance|balances|balace", "how much .. in|have|got|available|there", "what do i have",
        "what is in|on my|the",
        "funds available|left", "check|see|view|know|look|about|at .. checking|savings|saving|account|accounts",
        "check|see|view|know .. money|funds",
    ),
}  # fmt: skip
