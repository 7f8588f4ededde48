% Mean of log p over the rows in nats, and its standard error, as `vpsde likelihood` prints them:
%   [average, stderr] = vpsde_logp('logp.h5', 'dopri5')
function [average, stderr] = vpsde_logp(path, label)
  s = vpsde_read(path, ['/likelihood/' label]);
  value = s.logp(isfinite(s.logp));
  average = mean(value(:));
  stderr = std(value(:)) / sqrt(numel(value));
end
