"""How people say what they want: the phrases of each intent. Data alone; the language is that of `patterns.py`.

A question is recognised anywhere in its clause. A wish only where the clause begins with it, once its openers are
taken off (`asides.py`): "could you please | transfer 50 to Anna". Whatever else mentions a transfer ("my bank
transfers", "he asked me to pay") is not a wish. Where two match, the one listed first is meant.
"""

from __future__ import annotations

from typing import Final

Phrases = tuple[str, ...]
Rules = tuple[tuple[str, Phrases], ...]

WISHES: Final[Rules] = (
    ("change_notifications", (
        "turn|switch on|off .. <notices>", "turn|switch .. <notices> on|off",
        "enable|disable|mute|unmute|activate|deactivate|silence|stop|start .. <notices>",
        "stop|start notifying|alerting|emailing|texting|reminding|messaging|pinging me|us",
        "notify|alert|remind|warn|ping me|us", "email|text|message me|us when|about|if|whenever|for|every",
        "let me know when|whenever|if|about", "tell me when|whenever", "subscribe|unsubscribe me? to|from",
        "send|give|get|receive|have|want me|us? .. notification|notifications|alert|alerts|reminder|reminders",
        "send|get|receive me|us? <notices> about|when|for|on", "be notified|alerted|warned|reminded|emailed",
        "no more .. <notices>",
    )),
    ("draft_message", ("draft", "compose", "write|prepare .. <message>", "write to", "write <quote> to")),
    ("send_message", (
        "send|forward|drop .. <message>|greeting|greetings", "text|email|message|mail",
        "tell|inform him|her|them that|about|to",
    )),
    ("export_statement", ("export", "download", "<make>|send|give|get|email|mail|print|save|need|have .. <file>")),
    ("set_budget", (
        "<make>|<change>|set|put|add|start .. budget|budgets|limit|cap", "budget .. <amount>",
        "limit|cap|restrict .. <amount>", "keep .. under|below|to|within|at <amount>",
        "set|put .. spending .. to|at <amount>", "spend no|not more than <amount>",
    )),
    ("request_payment", (
        "request|demand .. <money>|payment|payments|transaction|transfer|refund",
        "request|demand|collect|claim .. <amount>",
        "request|collect|demand from", "collect|claim .. <money>|payment|payments|debt", "get paid back? by|from",
        "<make>|do|place|send|submit|set|put up|in|through? .. payment|money|funds request",
        "<make>|do|place|send|submit .. request for .. payment|money|funds|<amount>",
        "ask .. for .. <amount>|<money>|payment", "invoice|bill|charge .. <amount>",
        "get .. <amount> from|back", "get .. <money> back",
    )),
    ("transaction", (  # names no direction: a payment, unless a request for one is being talked about
        "<make>|do|set|complete up? .. transaction", "transaction i|we need|want|have to",
        "make the|this|that|it .. transfer|payment|private|public",
    )),
    ("transfer", (
        "move|shift|put <amount>", "move|shift|put some|more? <money>",
        "place|put|submit in|through|up? a|another bank|money|new|private? transfer|payment",
    )),
    ("recategorise", (
        "recategorise|recategorize|reclassify|recode|relabel|retag",
        "<change>|correct|switch .. category|categories|classification|label",
        "categorise|categorize|classify|label|tag|mark|file|treat|count|book|log .. as|under|in|into|to",
        "put|move|place|sort|shift .. under|in|into|to",
    )),
    ("transfer", (
        "transfer|wire|remit", "send|pay|give|move|lend|deposit .. <amount>",
        "send|sent|move|forward|deposit it|them|some|to|from|the", "send|sent|give|lend .. <money>",
        "send|pay|repay", "give it|them to", "<make>|set|initiate|start|complete|execute|perform|do up? .. <payment>",
    )),
)  # fmt: skip
"""`send_message` is no intent: nothing is ever sent, so it asks whether to draft."""

WISHED_FOR: Final[Rules] = (
    ("export_statement", ("a|my|the? .. <file>",)),
    ("change_notifications", (
        "no|any? more? <notices>", "no|any? more? email|sms|push <notices>",
        "the|any|those? weekly|budget|approval|duplicate|large .. <notices>",
    )),
    ("request_payment", ("a|the|another? private? payment|money request", "<amount> .. requested")),
    ("transaction", ("a|another|the? private? transaction",)),
    ("transfer", (
        "a|another|the? private? bank|money|fund|wire? transfer|payment", "<amount> .. transferred|sent|paid|wired",
        "transferring|wiring|sending|paying|moving|remitting", "making|doing|sending .. <payment>",
        ".. to have|receive|get <amount>",
    )),
    ("draft_message", ("a? draft",)),
    ("recategorise", (".. categorised|categorized|classified|filed|booked|labelled|tagged as|under|to",)),
)  # fmt: skip
"""What is a wish only after "I want", "I need", "would you mind" and the like."""

QUESTIONS: Final[Rules] = (
    ("status", (
        "who .. sign|signs|countersign|countersigns", "is|was it|that|this done|through|signed|sent|approved|executed",
        "has it|that|this|my .. gone|been through|signed|sent|approved|executed", "what happened to|with it|that",
        "what happened to|with my|the <payment>|request", "what is|are still? waiting|pending|open",
        "what|which|anything .. waits|waiting|pending|open for? a? signature|signatures", "my approvals",
        "open|pending|waiting approvals|cards", "list|show|see .. approvals", "which card|cards",
        "status of my|the|this|that", "what is the status", "where is my|the <payment>", "did it|that|my .. go through",
        "why .. card|request waiting|pending", "why is my|the <payment> waiting|pending",
    )),
    ("explain_decision", (
        "why .. <judged>|applied|rejected|denied|approved|blocked|held|deferred|waiting",
        "why .. under|in|as|put|review|needs|<entries>|decision|category|decide|decided|think|thought", "why <quote>",
        "explain", "reason|reasons|reasoning|rationale|grounds for|behind|of|that|i|you", "what made you",
        "on what basis|grounds", "how come", "who|what decided|approved|rejected|<judged>",
        "how did you|it .. decide|categorise|categorize|classify|choose|pick|end",
        "how was|were .. decided|chosen|<judged>",
    )),
    ("budget_status", ("budget|budgets .. left", "left .. budget|budgets")),
    ("cash_pressure", (
        "will|would .. left", "be left", "left until|till|by|before", "left at|by the? end", "left .. payday",
    )),
    ("balance", (
        "balance|balances|balace", "how much .. account|accounts|checking|savings|saving|bank",
        "what|how .. in|is|at|does|about my|the? account|accounts|checking|savings|saving",
        "any|have money|funds|cash in my|the? account|accounts|checking|savings|saving|bank",
        "remaining|total|left|amount .. in|from|of my? account|checking|savings",
        "check|see|view|know|look|show|inform .. checking|savings|saving|account|accounts",
        "check|see|view|know .. money|funds",
        "my|the checking|savings", "funds available|left",
    )),
    ("cash_pressure", (
        "afford", "run|running|runs out|short|low of|on? <money>", "overdrawn|overdraft|payday|cashflow",
        "cash flow|crunch|pressure|position|squeeze|shortfall|shortage|outlook|forecast|runway",
        "enough|sufficient <money>|left|for|to|until|till", "make it to|till|until|through", "make ends meet",
        "bills|bill|payments|subscriptions|debits|charges .. coming|due|upcoming|ahead|left|still",
        "upcoming|coming|next|outstanding|due <entries>|bill|bills|debits|subscriptions",
        "what|which|anything is|are|bills|payments .. due", "how long .. last", "last|lasts until|till|to|<days>",
        "recurring|regular|fixed|standing <entries>|costs|bills|subscriptions|orders",
        "subscriptions|subscription .. have|pay|paying|costing", "my|our|all|list|show subscriptions", "tight",
        "go|be|going into|in? the? red|negative|broke|short", "cover .. rent|bills|payments|mortgage|expenses",
    )),
    ("budget_status", (
        "budget|budgets", "left|remaining to spend", "left|remaining for|on|in", "how much more .. spend",
        "over|under|within my? limit|limits", "overspent|overspending|overspend",
        "how am|are i|we doing .. on|for|with", "on track",
    )),
    ("spending", (
        "how much .. <spent>|transfer|transferred|send|sent|going|go|goes|went", "how much for|on",
        "how much was|were|is|are my|the|our", "spend|spent|spending", "total|sum|average .. for|on|at|paid",
        "what did|have|do|does|is|are .. <spent>|spending", "what .. cost|costs me|us",
        "where did|does|is|has|have .. <money>|<amount> .. go|going|gone|went",
        "where .. money go|going|gone|goes|went",
        "compare|compared", "my|our|the|were|was|total expenses|expenditure|expenditures|outgoings|costs",
    )),
    ("find_transactions", (
        "show|list|find|see|search|display|view|get|pull|look|give|fetch|which|what|any|all .. <entries>",
        "when did|was .. last|pay|paid|buy|charged|charge|payment|purchase|shop|receive|get|arrive",
        "what|where|who did|have i|we .. <bought>|order",
        "did|has|have|was|were <someone>|my|the|anyone .. <bought>|refund|refunded|arrive|arrived|booked|come|gone|go",
        "<entries> with|from|at|to|over|under|above|below|in|on|of|for|between|<days>",
        "last|latest|recent|biggest|largest|smallest .. <entries>",
        "what is|was|are|were the|this|that|these? .. <entries>|debit", "search for|my", "look for|up",
        "find|show|list .. <amount>|<quote>", "everything i|we bought|paid|spent", "transactions",
        "what|which|anything .. needs|need|waits|wait|waiting|left .. review|reviewed",
        "who paid|charged|sent",
    )),
    ("balance", ("how much .. in|have|got|available|there", "what do i have")),
)  # fmt: skip
