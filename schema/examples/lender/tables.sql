-- The table of the service that writes lender.v1, as far as `first_load` of screens.proto reads it.

CREATE TABLE lenders (
  lender_id VARCHAR(64) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  name      VARCHAR(200)                    NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
