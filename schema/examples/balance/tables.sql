-- The tables of the service that writes balance.v1, as far as `first_load` of screens.proto reads them, and how it writes:
-- in one transaction it locks the person's row, changes what it has to, and tells the outbox.
--
--     START TRANSACTION;
--     SELECT user_id FROM people WHERE user_id = 'u1' FOR UPDATE;
--     UPDATE accounts SET amount = 51000, as_of = NOW(3) WHERE user_id = 'u1' AND institution_code = 4 AND account_no = '1';
--     INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
--         VALUES ('person', 'u1', 'balance.v1.BalanceReported', ...);
--     COMMIT;
--
-- The lock is what keeps a person's events in the order of their commits: the next writer of u1 waits for it, and so takes
-- its place in the outbox behind this one.

CREATE TABLE people (
  user_id VARCHAR(64) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  name    VARCHAR(200)                    NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE consents (
  user_id          VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
  institution_code INT UNSIGNED                    NOT NULL,
  institution_name VARCHAR(200)                    NOT NULL,
  until            DATETIME(3)                     NULL,
  PRIMARY KEY (user_id, institution_code)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE accounts (
  user_id          VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
  institution_code INT UNSIGNED                    NOT NULL,
  account_no       VARCHAR(64)                     NOT NULL,
  name             VARCHAR(200)                    NOT NULL,
  kind             ENUM ('DEPOSIT', 'SAVINGS', 'SECURITIES', 'LOAN') NOT NULL,
  amount           DECIMAL(18, 2)                  NULL,
  as_of            DATETIME(3)                     NULL,
  PRIMARY KEY (user_id, institution_code, account_no)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
