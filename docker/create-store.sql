CREATE DATABASE cogent_ops OWNER airflow;
