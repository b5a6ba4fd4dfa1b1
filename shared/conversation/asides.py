"""What surrounds a wish: openers, doubts, courtesies, and the words of the conversation itself. Data alone.

The language is that of `patterns.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.conversation.phrases import Phrases

OPENERS: Final[Mapping[str, Phrases]] = {
    "": (  # politeness and fillers: they change nothing
        "please|pls|kindly|ok|okay|o.k|alright|right|well|so|then|now|also|and|but|just|actually|really|instead|rather",
        "hi|hello|hey|there|thanks|thankyou|great|perfect|cool|nice|good|fine|awesome|wonderful|oh|sorry|bank|again|too",
        "yes|yeah|yep|yup|ye|sure|absolutely|no|first|next|finally|immediately|today|here|countersign",
        "because|since|as|hence|therefore", "all right", "of course", "in that case", "right now", "i see", "got it",
        "good morning|afternoon|evening|day", "thank you", "thanks|thank|you a lot|million", "sounds good",
        "by the way",
        "last|next|one|another thing .. is to?", "one more thing", "while you are at it", "as well", "this time",
        "excuse me", "for your|the help", "for|with .. help|assistance|information|info", "very|so much", "for me",
        "that|this|it is great|good|fine|nice|cool|perfect|okay|ok|right",
    ),
    "wish": (
        "i|we <adverb>? need|want|wish|require|wanted|intend|plan|needed|prefer|desire <adverb>|you? to?",
        "i|we would|will|should? <adverb>? like|love|prefer <adverb>|you|for? to?", "i have another",
        "i|we <adverb>? have|got|had also? got|to to?", "i|we must|will|shall <adverb>?",
        "i|we am|are <adverb>? going|looking|trying|hoping|planning|ready|about|wishing to?",
        "i|we was|were hoping|looking|wondering|planning to?",
        "would|will like|love also|just? to?", "need|want|like|wish|have <adverb>? to?",
        "let us|me", "go ahead and?", "can|could|would|will you please|kindly|maybe|<adverb>?", "would|do you mind",
        "be able to?", "will you be able to?", "you can|could|may|should <adverb>?", "help",
        "help|assist me|us|in|with? to|with|in?", "to <adverb>|quickly?", "me to|with?", "you to|please?",
        "making|doing|with", "try to|and", "make sure you? to?", "i meant|mean|wanted to? say? please?",
    ),
    "asks": (
        "can|could|may|might|should|shall|must|would|will|am|was|were|are|have|had <someone>|my|the",
        "can|could|may|should|would|will|are|was|were this|that|there|your",
        "do|did|does i|we|he|she|they|you|someone|anyone|people|my|the|this|that also?", "does it",
        "are|were|did|have|had you", "how|what|when|why|where|which|who|whether", "is|was|has|are|were",
        "any way|chance to?", "i|we wonder|wondered", "wondering", "tell|show|explain me? how|whether|if|what|why",
    ),
    "open": (
        "i|we am|are|was|were thinking|considering|debating|curious|unsure|not", "thinking about|of",
        "i|we think|thought|guess|might|may|could|can|should", "considering|debating|unsure", "not sure",
    ),
    "not": (
        "do|did|does|would|will|should|can|could|must|am|are|is not", "never|not|without", "no longer", "no need to?",
        "stop|avoid|cancel|refuse|undo|reverse|abort|reject|revoke|decline", "i|we|you never", "rather not",
        "i|we|you do|did|would|will|should|can|could|must|may|am|are not", "hold off on?", "instead of", "forget about",
    ),
}  # fmt: skip

VETOES: Final[Mapping[str, Phrases]] = {
    "supposed": (
        "if", "suppose|supposing|imagine|pretend|hypothetically|theoretically|assuming|unless|otherwise",
        "what happens|would|if",
        "in theory|case", "let us say", "for example|instance", "an example", "e.g", "provided that", "would have",
    ),
    "reported": (
        "told|tells|asked|asks|ordered|instructed|begged|reminded|forced|wants|wanted me|us|you|him|her|them|to|that",
        "said|says|reads|wrote|writes|claims|claimed|states|stated|insists|suggests|suggested|demands|demanded|replied",
        "according to",
        "he|she|they|who|someone|somebody|everyone want|wants|wanted|say|should|will|would|must",
        "dear customer|sir|madam|client|user|friend|colleague",
        "message|email|letter|note|memo|description|text|caller that|which|from",
    ),
    "later": (
        "tonight|tomorrow|later|someday|eventually|soon|daily|weekly|monthly|yearly|annually|regularly|always",
        "automatically|recurring",
        "every|each day|week|month|year|morning|<weekday>|time|payday|other|few|two|second|<days>",
        "as soon as", "once|when|whenever|until|till|after|before|while", "from now on", "going forward",
        "in the future", "schedule|scheduled|standing",
        "<weekday>", "a|per week|month|year|day",
    ),
    "negated": (
        "not|never|cancel|without|except|nobody|none|nothing|neither|nor", "no longer", "instead of", "rather than",
        "no one",
    ),
    "taken back": (
        "kidding|joking|joke", "scratch|forget that|it", "second thought|thoughts", "wait no?", "nevermind",
        "never mind",
    ),
    "open": (
        "send|give|pay|wire|transfer|lend me|us", "to me|us|myself",
        "each|both|twice|thrice|double|half|split|divide|percent", "attention|regards|greetings|wishes|respects",
        "or|either|maybe|perhaps|possibly|probably|whichever|whatever|whoever|undecided", "not sure", "and or",
    ),
    "told": (
        "was|were|has|have|had|did|does|failed|bounced|arrived|happened|went|seems|appears|cost|costs",
        "transfer|payment is|are",
    ),
}  # fmt: skip
"""Words in the sentence of a wish that keep it from being one: it is asked back, never acted on."""

UNDAUNTED: Final[Mapping[str, frozenset[str]]] = {
    "change_notifications": frozenset({"supposed", "later", "dated", "negated", "open", "told"}),
    "set_budget": frozenset({"later"}),
    "recategorise": frozenset({"told", "dated"}),
    "export_statement": frozenset({"told", "dated", "open"}),
    "draft_message": frozenset({"supposed", "reported", "later", "dated", "negated", "open", "told", "taken back"}),
}  # fmt: skip
"""Vetoes that are no veto for this wish: a reminder is "when" something happens, a budget is "a month"."""

POLITE: Final[Phrases] = (
    "i|we was|were hoping|looking|wondering|planning", "she|he has",
    "if you would|could|can|may|please|will not? mind?", "if possible", "if that is ok|okay|fine|alright|possible",
    "if you do not mind", "when you can", "when you get a chance",
    "that works", "any account", "so far",
)  # fmt: skip
"""Said out of politeness: left out before the vetoes are looked for."""

LOOKING: Final[Phrases] = ("show|list|find|check|tell|see|give|what|how|why|explain|get|view|display|look|search|any",)
"""How a request for information begins."""
TELLING: Final[Phrases] = (
    "balance|balances|budget|budgets|spend|spent|spending|transactions|afford|bills|subscriptions",
)
"""Words that make a clause a question about the ledger, whatever its form."""
PAYING: Final[Phrases] = ("from|of|via|using|use|with|through my|the in-app|app? balance", "in-app|app balance")
"""An account to pay from, not a question about it."""

AFFIRM: Final[Phrases] = (
    "yes|yeah|yep|yup|ye|ya|yea|sure|ok|okay|correct|confirmed|confirm|right|exactly|absolutely|definitely|perfect|approve|approved|agreed|surely|certainly|alright|indeed|proceed|accurate",
    "go ahead", "do it|that|so", "please do", "sounds|looks good|right|great|correct|fine",
    "that|it is right|correct|fine|good|great|it|perfect|accurate|ok|okay",
    "of course", "all right", "why not", "no objections|problem|worries", "that|it works|sounds|looks", "will do it?",
    "i do|would|am",
)  # fmt: skip
DENY: Final[Phrases] = (
    "no|nope|nah|cancel|stop|abort|incorrect|wrong|nothing|negative", "forget it|that|about|this", "never mind|ever",
    "nevermind", "drop|scrap|leave|skip|abandon it|that|this",
    "do not", "not now|yet|today|really|right|at|anymore|correct|needed|necessary", "changed my mind", "hold on|off",
    "no thanks", "that|it|this is not", "i am not",
)  # fmt: skip
TAKING_BACK: Final[Phrases] = (
    "cancel|abort|forget|withdraw|revoke|undo|retract|nevermind", "never mind", "call|calling .. off",
    "take|taking .. back", "delete|remove|drop|scrap|stop|skip .. it|that|this|transfer|payment|request|order|wish",
    "changed my mind", "do not", "leave it|that", "hold off|on", "not .. any? more|anymore", "no longer", "stop",
)  # fmt: skip
"""What takes back a wish that waits for a signature; a bare "no" may mean that nothing else is wanted."""
HELP: Final[Phrases] = (
    "what can you|i", "what do you do", "what else can you|i", "how do|does you|this|it work", "how can i use",
    "who|what are you", "what are your|the options|commands|abilities", "need help",
    "help", "help me", "how can you help", "what should i say", "your? features|capabilities|menu",
    "what are you able|capable",
)  # fmt: skip
GOODBYE: Final[Phrases] = (
    "bye|goodbye|cya|farewell", "see you|ya", "good night|bye", "have a .. day|one|evening|weekend|night",
    "that|this is|was all|it|enough|everything", "that will be all|it",
    "talk|speak to? you? later|soon", "take care", "later", "all done|set", "i am done|good|finished",
    "nothing else|more", "so long",
)  # fmt: skip
SMALL_TALK: Final[Phrases] = (
    "hi|hello|hey|thanks|thankyou|great|cool|nice|awesome|wonderful|good|fine|lovely|excellent|amazing|super|welcome|appreciate|ok|okay|alright",
    "thank you", "good morning|afternoon|evening|day",
    "i see", "got it", "good to know", "noted", "makes sense", "how are you", "perfect",
)  # fmt: skip
CORRECTION: Final[Phrases] = (
    "no|nope|nah|instead|actually|rather|correction|oops|sorry|wait", "make it|that|the",
    "change|correct|update|switch|edit|fix", "i meant|mean|said", "not", "should be", "in fact",
)  # fmt: skip
