-- The sample database of `tamis sql --sample`: a small lending library, made up for tamis.
CREATE TABLE author (
  author_id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  country TEXT NOT NULL,
  born INTEGER NOT NULL
);
CREATE TABLE book (
  book_id INTEGER PRIMARY KEY,
  title TEXT NOT NULL,
  author_id INTEGER NOT NULL REFERENCES author (author_id),
  genre TEXT NOT NULL,
  year INTEGER NOT NULL,
  pages INTEGER NOT NULL
);
CREATE TABLE member (
  member_id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  city TEXT NOT NULL,
  joined INTEGER NOT NULL
);
CREATE TABLE loan (
  loan_id INTEGER PRIMARY KEY,
  book_id INTEGER NOT NULL REFERENCES book (book_id),
  member_id INTEGER NOT NULL REFERENCES member (member_id),
  day TEXT NOT NULL,
  days INTEGER
);
INSERT INTO author VALUES
  (1, 'Ada Brand', 'Norway', 1931), (2, 'Tomas Reyes', 'Chile', 1952), (3, 'Mei Tanaka', 'Japan', 1968),
  (4, 'Oskar Lind', 'Sweden', 1975), (5, 'Ines Duarte', 'Portugal', 1983), (6, 'Karim Aziz', 'Egypt', 1940);
INSERT INTO book VALUES
  (1, 'The Salt Road', 1, 'novel', 1965, 312), (2, 'North Light', 1, 'poetry', 1971, 96), (3, 'A Map of Rain', 2, 'novel', 1984, 280),
  (4, 'The Glass Orchard', 2, 'novel', 1999, 344), (5, 'Nine Bridges', 3, 'crime', 2001, 402), (6, 'The Quiet Ferry', 3, 'crime', 2006, 388),
  (7, 'Winter Accounts', 4, 'history', 2010, 520), (8, 'Bread and Iron', 4, 'history', 2014, 610), (9, 'Small Tides', 5, 'poetry', 2015, 80),
  (10, 'The Lantern Keeper', 5, 'novel', 2019, 256), (11, 'Dust of Cairo', 6, 'crime', 1978, 298), (12, 'River Papers', 6, 'history', 1988, 430);
INSERT INTO member VALUES
  (1, 'Bo', 'Lund', 2015), (2, 'Carla', 'Porto', 2018), (3, 'Dev', 'Lund', 2020), (4, 'Eva', 'Oslo', 2016), (5, 'Finn', 'Oslo', 2021),
  (6, 'Gita', 'Porto', 2019);
INSERT INTO loan VALUES
  (1, 1, 1, '2023-01-04', 14), (2, 5, 1, '2023-02-11', 21), (3, 6, 2, '2023-02-15', 10), (4, 3, 3, '2023-03-02', 28), (5, 5, 4, '2023-03-20', 14),
  (6, 7, 4, '2023-04-01', 35), (7, 10, 2, '2023-04-18', 9), (8, 11, 5, '2023-05-05', 20), (9, 5, 6, '2023-05-30', 12), (10, 9, 3, '2023-06-12', 7),
  (11, 1, 6, '2023-07-01', 25), (12, 12, 1, '2023-07-19', NULL), (13, 4, 5, '2023-08-02', NULL), (14, 8, 4, '2023-08-21', NULL);
