% Paths of the first two components of some samples of a run, noise to data, as a PNG:
%   vpsde_plot('run.h5', 'ddim', 'out.png')
function vpsde_plot(path, label, out)
  s = vpsde_read(path, ['/runs/' label]);
  n = size(s.x, ndims(s.x));
  times = numel(s.t);
  x = double(reshape(s.x, [], times, n));  % images: (pixel, time, sample)
  shown = 1:min(30, n);
  device = '-dpng';
  if exist('OCTAVE_VERSION', 'builtin')
    graphics_toolkit('gnuplot');  % draws without a display, a font server or Ghostscript
    device = '-dpngcairo';
  end
  f = figure('visible', 'off');
  plot(squeeze(x(1, :, shown)), squeeze(x(2, :, shown)), 'color', [0.6 0.6 0.6]);
  hold on
  noise = plot(squeeze(x(1, 1, shown)), squeeze(x(2, 1, shown)), 'b.', 'markersize', 12);
  data = plot(squeeze(x(1, end, shown)), squeeze(x(2, end, shown)), 'r.', 'markersize', 12);
  legend([noise, data], {'noise', 'data'});
  title(strrep(label, '_', '-'));
  xlabel('component 0');
  ylabel('component 1');
  print(f, out, device, '-r100');
  close(f);
end
