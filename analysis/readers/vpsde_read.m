% One group of a run file of vpsde as a struct, in Octave and MATLAB:
%   s = vpsde_read('run.h5', '/runs/ddim');      s.x, s.t, s.alpha, s.final, ...
% Both reverse the dimensions: what the schema calls (sample, time, dim) is s.x(dim, time, sample) here.
% Octave's load reads the values of a file, but no attributes; MATLAB's h5read and h5readatt read both.
function s = vpsde_read(path, group)
  words = strsplit(strrep(strtrim(group), '-', '_'), '/');
  words = words(~cellfun(@isempty, words));
  if exist('OCTAVE_VERSION', 'builtin')
    s = load('-hdf5', path);
    for k = 1:numel(words)
      s = s.(words{k});
    end
    return
  end
  group = ['/' strjoin(words, '/')];
  info = h5info(path, group);
  s = struct();
  for k = 1:numel(info.Datasets)
    name = info.Datasets(k).Name;
    s.(name) = h5read(path, [group '/' name]);
  end
end
