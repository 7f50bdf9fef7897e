"""For migrations: a table of businesses is guarded by one line, `protect(op.get_bind(), "contacts")`.

The owner of the tables is not bound by the policies: workers, the steward and the commands see everything. Web requests
are, as the role `clarion_app` (`server/tenancy.py`), which may touch no table that was not given to it here.
"""

from typing import Final

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from server.domain.errors import BadInput
from server.tenancy import MAY_ACT, ROLE, SETTING

POLICY: Final = "one_business"
# In a subselect PostgreSQL asks for the setting once a statement, not once a row.
_MINE: Final = f"(SELECT nullif(current_setting('{SETTING}', true), '')::bigint)"
_EVERYTHING: Final = "SELECT, INSERT, UPDATE, DELETE"

# Roles belong to the whole server: another database of it may have made this one, perhaps at this very moment.
_MAKE_ROLE = f"""
DO $role$ BEGIN
    IF to_regrole('{ROLE}') IS NULL THEN
        BEGIN
            CREATE ROLE {ROLE} NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF NOT {MAY_ACT} THEN
        EXECUTE format('GRANT {ROLE} TO %I', current_user);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO {ROLE}', current_schema());
END $role$
"""

_OF_BUSINESSES = text("""
    SELECT table_name FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
     WHERE table_schema = current_schema() AND column_name = 'business_id' AND table_type = 'BASE TABLE'
     ORDER BY table_name
""")
_PROTECTED = text("""
    SELECT c.relname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
     WHERE c.relnamespace = current_schema()::regnamespace AND p.polname = :policy ORDER BY c.relname
""")


def make_role(connection: Connection) -> None:
    """Make the role that web requests act as, where the server has none, and let this one act as it.

    Raises `BadInput` that says what a person has to run, where the role of DATABASE_URL may not.
    """
    try:
        with connection.begin_nested():
            connection.execute(text(_MAKE_ROLE))
    except DBAPIError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        us = connection.scalar(text("SELECT quote_ident(current_user)"))
        raise BadInput(
            f"The database's role {us} may not make the role that keeps businesses apart. Let an administrator of the "
            f"database run, once: CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO {us}; - and start again. (Where "
            f"{ROLE} exists, the GRANT alone. PostgreSQL said: {str(error.orig).partition(chr(10))[0]})"
        ) from error


def tables_of_businesses(connection: Connection) -> list[str]:
    """Every table with a column `business_id`."""
    return list(connection.scalars(_OF_BUSINESSES))


def protect(connection: Connection, table: str, column: str = "business_id", may: str = _EVERYTHING) -> None:
    """Let web requests see and change the rows of their business, and no others. column: whose number says whose."""
    _guard(connection, table, f"{column} = {_MINE}", may)


def protect_through(connection: Connection, table: str, column: str, parent: str, *, may: str = _EVERYTHING) -> None:
    """The same for a table without `business_id`: a row is whose the row of a protected parent is."""
    _guard(connection, table, f"{column} IN (SELECT id FROM {parent})", may)  # noqa: S608 - names of a migration


def _guard(connection: Connection, table: str, condition: str, may: str) -> None:
    connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    connection.exec_driver_sql(f"DROP POLICY IF EXISTS {POLICY} ON {table}")
    # Without WITH CHECK the same condition holds for what is written.
    connection.exec_driver_sql(f"CREATE POLICY {POLICY} ON {table} TO {ROLE} USING ({condition})")
    connection.exec_driver_sql(f"GRANT {may} ON {table} TO {ROLE}")
    # Only a table that was adopted has a sequence that asks for a right; an identity column does not.
    sequences = f"""
        DO $sequences$ DECLARE s regclass; BEGIN
            FOR s IN SELECT d.objid::regclass FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
                      WHERE d.refobjid = '{table}'::regclass AND d.deptype IN ('a', 'i')
            LOOP EXECUTE format('GRANT USAGE ON SEQUENCE %s TO {ROLE}', s); END LOOP;
        END $sequences$
    """  # noqa: S608 - names of a migration
    connection.execute(text(sequences))


def unprotect_all(connection: Connection) -> None:
    """Take every policy away, and what the role was given. The role stays: other databases may use it."""
    for table in list(connection.scalars(_PROTECTED, {"policy": POLICY})):
        connection.exec_driver_sql(f"DROP POLICY {POLICY} ON {table}")
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        connection.exec_driver_sql(f"REVOKE ALL ON {table} FROM {ROLE}")
    schema = connection.scalar(text("SELECT quote_ident(current_schema())"))
    connection.exec_driver_sql(f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {ROLE}")
    connection.exec_driver_sql(f"REVOKE ALL ON SCHEMA {schema} FROM {ROLE}")
