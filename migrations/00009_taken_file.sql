-- +goose Up

-- Files that were moved out of an inbox, for some minutes: whether one of them has grown since is looked at by whichever replica has
-- the lease. The note is a JSON object of package inbox's own form.
CREATE TABLE taken_file (
	inbox    text        NOT NULL,
	path     text        NOT NULL,
	note     jsonb       NOT NULL,
	taken_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (inbox, path)
);

-- +goose Down
DROP TABLE taken_file;
