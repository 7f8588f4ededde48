% The metric rmse of `vpsde compare`, between two runs of the same start states in one file:
%   vpsde_rmse('run.h5', 'ddim', 'dopri5')
function value = vpsde_rmse(path, label, reference)
  a = vpsde_read(path, ['/runs/' label]);
  b = vpsde_read(path, ['/runs/' reference]);
  good = a.status(:) == 0 & b.status(:) == 0;
  n = numel(good);
  difference = reshape(a.final, [], n) - reshape(b.final, [], n);  % the last axis is the sample
  value = sqrt(mean(sum(difference(:, good) .^ 2, 1)));
end
