// English.

import type { LanguagePieces } from './types.ts';

export const english: LanguagePieces = {
  verbSecond: false,
  subjects: `the teacher | my brother | our neighbour | a young woman | the old man | his daughter | the doctor | her best friend
    the mayor of the city | an engineer | the whole family | nobody | everyone | the child | your aunt | the waiter
    this company | the new government | a stranger | the gardener`,
  verbs: `buys | has found | was looking for | wants to sell | described | is painting | likes | has forgotten | would like
    brought back | does not understand | can see | needs | lost | should read | often visits | had built`,
  objects: `a red bicycle | the newspaper | three apples | an old photograph | the key to the house | some bread and cheese
    a long letter | the answer | their luggage | a cup of tea | the weather | another question | the right way | warm clothes
    these flowers | much more money | a small boat | the first chapter | something strange | this song`,
  places: `in the kitchen | at the station | near the river | behind the church | on the other side of the street | at work
    in a small village | under the bridge | from the mountains | with his parents | at the market | in the north of the country
    through the window | around the corner`,
  times: `yesterday | every morning | in the evening | two weeks ago | during the holidays | at night | on Thursday | this year
    after dinner | before the meeting | next month | sometimes | for the last time`,
  sentences: `I don't know where she lives, but I will ask her.
    What would you like to drink with your meal?
    If it rains tomorrow, we shall stay at home and play cards.
    There are too many people in this room.
    He said that they had never been here before.
    Could you please tell me how to get to the library?
    The train leaves at half past seven and arrives in the afternoon.
    We haven't seen each other since last summer.
    It was the coldest winter that anyone could remember.
    Thank you very much for your help.
    Although he was tired, he went on walking until he reached the sea.
    You should have told us earlier.
    Which of these two books is yours?
    Nothing is as easy as it looks.
    They were talking about the things which matter to them.
    Let's meet in front of the theatre at eight.
    How much does this shirt cost?
    My mother's garden is full of roses and birds.
    She can speak four languages, which is quite unusual.
    We are going to need a bigger table.
    The water was so clear that we could see the ground.
    Please close the door when you leave.
    This year's results were better than we thought.
    Who is that man over there with the hat?
    I would rather stay here than go with them.
    Where did you put the scissors, and why didn't you say so?
    When will the shop open again?
    It has been a pleasure working with all of you.
    Everything which glitters on that shelf was made by hand.
    Why are there so few chairs left?
    Put it down, wash your face and get ready for school.
    Most of those words have been used for hundreds of years.
    I think you might be right about what happened next.
    Would you mind if I opened the window for a while?
    Both children were given the same amount, weren't they?`,
};
