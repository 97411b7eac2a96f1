-- The role of everything but the migrations. POSTGRES_APP_PASSWORD_FILE names the file with its password.
\set password `cat "$POSTGRES_APP_PASSWORD_FILE"`
SELECT 'CREATE ROLE orderbridge_app'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'orderbridge_app') \gexec
ALTER ROLE orderbridge_app WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
    PASSWORD :'password';

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO orderbridge_app;
GRANT USAGE ON SCHEMA public TO orderbridge_app;

-- What the migrations made, and what they will make.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO orderbridge_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO orderbridge_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO orderbridge_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO orderbridge_app;
