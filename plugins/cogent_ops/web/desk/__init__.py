"""The desk: pages in Airflow's user interface for the people who run the business."""
