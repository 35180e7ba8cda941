-- The statements of app/pgindex.py. A build is one index; its `home` is a tenant, or all of them, with a corpus and
-- a way to cut and encode it, its `name` the hash of the pages. Every statement reads or writes one home alone.

-- What is read of a build in its SQLite file.
-- name: built
select passage.rowid as row, clean(page) as page, clean(title) as title, clean(heading) as heading,
    clean(body) as body, title_stems, heading_stems, body_stems, shown(value) as value
from passage left join vector using (hash)

-- name: tables
select pg_advisory_xact_lock(hashtext('retrieval')); -- one build is taken over after the other
create extension if not exists vector;
create schema if not exists retrieval;
create table if not exists retrieval.build (
    id bigint generated always as identity primary key,
    home text not null,
    name text not null,
    size integer not null default 0,
    at timestamptz not null default clock_timestamp(),
    unique (home, name)
);
create table if not exists retrieval.passage (
    build bigint not null references retrieval.build on delete cascade,
    number bigint not null,
    page text not null,
    title text not null,
    heading text not null,
    body text not null,
    words tsvector not null,
    primary key (build, number)
) with (toast_tuple_target = 8160);
-- The stems are taken apart as SQLite does it: accents do not count, and the signs inside a word part it.
create or replace function retrieval.words(stems text) returns tsvector immutable language sql return to_tsvector(
    'simple', translate(regexp_replace(normalize(stems, NFKD), '[\u0300-\u036f]', '', 'g'), '''’.%/_-', '       ')
);
create index if not exists passage_words on retrieval.passage using gin (words);
-- Beside no text, and never moved out of the row: comparing all of a build reads its vectors and nothing else.
create table if not exists retrieval.vector (
    build bigint not null references retrieval.build on delete cascade,
    number bigint not null,
    value vector not null,
    primary key (build, number)
) with (toast_tuple_target = 8160);

-- name: new
insert into retrieval.build (home, name) values (:home, :name)
on conflict (home, name) do update set at = clock_timestamp() returning id, size

-- name: passage
insert into retrieval.passage values (
    :build, :row, :page, :title, :heading, :body, setweight(retrieval.words(:title_stems), 'A')
    || setweight(retrieval.words(:heading_stems), 'B') || setweight(retrieval.words(:body_stems), 'C')
)

-- name: vector
insert into retrieval.vector select :build, :row, cast(:value as vector) where :value is not null

-- name: sized
update retrieval.build set size = :size where id = :build

-- name: clear
delete from retrieval.build where id in (
    select id from retrieval.build where home = :home order by at desc offset :kept
)

-- name: retire
delete from retrieval.build where home in (
    select home from retrieval.build where left(home, -8) = left(:home, -8) and home <> all(:homes)
    group by home order by max(at) desc offset :others
)

-- name: builds
select id, size, name, at from retrieval.build where home = :home order by at desc

-- As in BM25 a rare word counts for more than a frequent one; ts_rank alone takes them for equal.
-- name: words
with hit as materialized (
    select number, lexeme, ts_rank('{0, 0.6, 0.8, 1}', words, lexeme, 1) as fit
    from unnest(cast(tsvector_to_array(retrieval.words(:stems)) as tsquery[])) as lexeme
    join retrieval.passage on build = :build and words @@ lexeme
), scored as (
    select number, fit * ln(1 + :size / cast(count(*) over (partition by lexeme) as float8)) as score from hit
)
select number from scored
group by number order by number % 8 = :language desc, sum(score) desc, number limit 50

-- All of the build are compared: a graph over the vectors of all tenants finds too few of one tenant. Vectors of
-- another model, which gave itself no revision, find nothing.
-- name: near
select 1 - (value <=> cast(:vector as vector)), number from retrieval.vector
where build = :build and vector_dims(value) = vector_dims(cast(:vector as vector))
order by value <=> cast(:vector as vector), number limit 50

-- The build's row is there even where no passage is asked for: without it the build is gone.
-- name: passages
select number, page, title, heading, body from retrieval.build
left join retrieval.passage on build = id and number = any(:rows) where id = :build
