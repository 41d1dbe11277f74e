"""Openings of old books and speeches, licence texts, and clauses that licences like them are made
of. A table and no logic.

The prose is in the public domain; licences are there to be copied word for word.
"""

PROSE_TEXTS = {
    "Genesis 1 (King James Bible)": (
        "In the beginning God created the heaven and the earth. And the earth was without form, and"
        " void; and darkness was upon the face of the deep. And the Spirit of God moved upon the"
        " face of the waters. And God said, Let there be light: and there was light."
    ),
    "Gettysburg Address": (
        "Four score and seven years ago our fathers brought forth on this continent, a new nation,"
        " conceived in Liberty, and dedicated to the proposition that all men are created equal."
        " Now we are engaged in a great civil war, testing whether that nation, or any nation so"
        " conceived and so dedicated, can long endure."
    ),
    "Declaration of Independence": (
        "We hold these truths to be self-evident, that all men are created equal, that they are"
        " endowed by their Creator with certain unalienable Rights, that among these are Life,"
        " Liberty and the pursuit of Happiness. That to secure these rights, Governments are"
        " instituted among Men, deriving their just powers from the consent of the governed"
    ),
    "Constitution of the United States": (
        "We the People of the United States, in Order to form a more perfect Union, establish"
        " Justice, insure domestic Tranquility, provide for the common defence, promote the general"
        " Welfare, and secure the Blessings of Liberty to ourselves and our Posterity, do ordain"
        " and establish this Constitution for the United States of America."
    ),
    "First Amendment": (
        "Congress shall make no law respecting an establishment of religion, or prohibiting the"
        " free exercise thereof; or abridging the freedom of speech, or of the press; or the right"
        " of the people peaceably to assemble, and to petition the Government for a redress of"
        " grievances."
    ),
    "A Tale of Two Cities": (
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the"
        " age of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was"
        " the season of Light, it was the season of Darkness, it was the spring of hope, it was the"
        " winter of despair"
    ),
    "Pride and Prejudice": (
        "It is a truth universally acknowledged, that a single man in possession of a good fortune,"
        " must be in want of a wife. However little known the feelings or views of such a man may"
        " be on his first entering a neighbourhood, this truth is so well fixed in the minds of the"
        " surrounding families"
    ),
    "Moby-Dick": (
        "Call me Ishmael. Some years ago—never mind how long precisely—having little or no money in"
        " my purse, and nothing particular to interest me on shore, I thought I would sail about a"
        " little and see the watery part of the world. It is a way I have of driving off the spleen"
    ),
    "Alice's Adventures in Wonderland": (
        "Alice was beginning to get very tired of sitting by her sister on the bank, and of having"
        " nothing to do: once or twice she had peeped into the book her sister was reading, but it"
        " had no pictures or conversations in it"
    ),
    "Hamlet": (
        "To be, or not to be, that is the question: Whether 'tis nobler in the mind to suffer The"
        " slings and arrows of outrageous fortune, Or to take arms against a sea of troubles, And"
        " by opposing end them."
    ),
    "Sonnet 18": (
        "Shall I compare thee to a summer's day? Thou art more lovely and more temperate: Rough"
        " winds do shake the darling buds of May, And summer's lease hath all too short a date"
    ),
    "Universal Declaration of Human Rights": (
        "All human beings are born free and equal in dignity and rights. They are endowed with"
        " reason and conscience and should act towards one another in a spirit of brotherhood."
    ),
}
LICENCE_TEXTS = {
    "MIT, grant": (
        "Permission is hereby granted, free of charge, to any person obtaining a copy of this"
        ' software and associated documentation files (the "Software"), to deal in the Software'
        " without restriction, including without limitation the rights to use, copy, modify, merge,"
        " publish, distribute, sublicense, and/or sell copies of the Software"
    ),
    "MIT, warranty": (
        'THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED,'
        " INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR"
        " PURPOSE AND NONINFRINGEMENT."
    ),
    "BSD, conditions": (
        "Redistribution and use in source and binary forms, with or without modification, are"
        " permitted provided that the following conditions are met: 1. Redistributions of source"
        " code must retain the above copyright notice, this list of conditions and the following"
        " disclaimer."
    ),
    "BSD, endorsement": (
        "Neither the name of the copyright holder nor the names of its contributors may be used to"
        " endorse or promote products derived from this software without specific prior written"
        " permission."
    ),
    "Apache 2.0, notice": (
        'Licensed under the Apache License, Version 2.0 (the "License"); you may not use this'
        " file except in compliance with the License. You may obtain a copy of the License at"
        " http://www.apache.org/licenses/LICENSE-2.0 Unless required by applicable law or agreed to"
        ' in writing, software distributed under the License is distributed on an "AS IS" BASIS'
    ),
    "GPL, notice": (
        "This program is free software: you can redistribute it and/or modify it under the terms of"
        " the GNU General Public License as published by the Free Software Foundation, either"
        " version 3 of the License, or (at your option) any later version."
    ),
    "GPL, warranty": (
        "This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY;"
        " without even the implied warranty of MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE."
        " See the GNU General Public License for more details."
    ),
    "ISC": (
        "Permission to use, copy, modify, and/or distribute this software for any purpose with or"
        " without fee is hereby granted, provided that the above copyright notice and this"
        " permission notice appear in all copies."
    ),
    "zlib": (
        "This software is provided 'as-is', without any express or implied warranty. In no event"
        " will the authors be held liable for any damages arising from the use of this software."
    ),
    "Unlicense": (
        "This is free and unencumbered software released into the public domain. Anyone is free to"
        " copy, modify, publish, use, compile, sell, or distribute this software, either in source"
        " code form or as a compiled binary, for any purpose, commercial or non-commercial, and by"
        " any means."
    ),
}
CLAUSES = (
    "Leave is given herewith, against {term}, to {people} who keeps {thing}, to {verb} it in"
    " {place} within the bounds set out below.",
    "No part of {thing} may be brought to {place} by {people} unless {term} has been recorded"
    " beforehand.",
    "Should {people} {verb} {thing} outside {place}, this leave ends at once and {term} falls due.",
    "{thing} comes without promise of any kind; {people} who wishes to {verb} it does so at the"
    " risk of {place}.",
    "Nothing in these lines takes from {people} the right to {verb} {thing} for teaching, provided"
    " that {term} is shown in {place}.",
    "Copies of {thing} must carry these lines and the seal of {place}, which {people} may {verb}"
    " but not alter.",
    "The keepers of {place} answer for no harm that comes to {people} from {thing}, save where"
    " {term} was refused.",
)
LEGAL = {
    "people": ("any person", "every reader", "a member of the society", "each tenant"),
    "thing": ("this archive", "the recordings", "these seeds", "the printed maps"),
    "verb": ("lend", "photograph", "plant", "exhibit", "number"),
    "term": ("a fee of nine coins", "notice of thirty weeks", "a signed letter", "two witnesses"),
    "place": ("the northern district", "the harbour office", "any greenhouse", "the old library"),
}
SENTENCES = (
    "On the third morning {person} carried {object} down to {place}, where nobody had swept since"
    " the {season}.",
    "“Leave {object} with the ferryman,” said {person}, and counted the {season} lamps again from"
    " the other side.",
    "Nobody in {place} would say who had painted {object} green, least of all {person}.",
    "When the {season} rain came through the roof, {person} put {object} under the table and went"
    " on reading.",
    "There were eleven chairs in {place} that {season}, and on the smallest of them lay {object}.",
    "{person} had promised to mend {object} before the {season} fair, but the glue had dried in its"
    " pot.",
    "From the window of {place} one could see {person} walking backwards along the dyke with"
    " {object} on one shoulder.",
)
STORY = {
    "person": ("Orvelle", "the younger Mistrand", "old Tasker Quill", "Hanne Brodwick"),
    "object": (
        "the copper birdcage",
        "a sack of numbered keys",
        "the unfinished saddle",
        "a clock without hands",
    ),
    "place": ("the tannery", "Lower Venn", "the salt office", "the house with two chimneys"),
    "season": ("winter", "harvest", "spring", "carnival"),
}
