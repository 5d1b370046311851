-- +goose Up
ALTER TABLE oidc_authorization ADD COLUMN seen BIGINT NOT NULL DEFAULT 0;
