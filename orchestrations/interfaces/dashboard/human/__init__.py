"""What the pages of questions to people show and take: words, the page of one question, the inbox, its forms."""
