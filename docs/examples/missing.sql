-- Trades that are missing, and why.
SELECT exchange, market, symbol, cause, state,
       count(*) AS gaps, sum(to_id - from_id + 1 - recovered_count) AS missing_ids
FROM gaps
WHERE data_type = 'trade' AND state <> 'closed'
GROUP BY exchange, market, symbol, cause, state;
