import DataStages
import Files
import PipelineCore
import StageSupport

/// What settings of stages name and is not there, each once.
struct MissingSources {
  let sources: [NamedSource]

  /// - Parameter all: the pipeline's stages; a setting that they share is named with its stage where they differ in it
  init(of stages: [any Estimating], in all: [any Estimating]) {
    var values: [String: Set<String>] = [:]
    for source in all.flatMap(\.sources) { values[source.setting, default: []].insert(source.path) }
    var seen: Set<String> = []
    sources = stages.flatMap { stage in
      stage.sources.filter { !SourceFile.isThere($0.path) }.map { source in
        var source = source
        if !source.setting.contains("."), values[source.setting]?.count ?? 0 > 1 {
          source.setting = "\(type(of: stage).name).\(source.setting)"
        }
        return source
      }
    }.filter { seen.insert($0.setting + $0.path).inserted }
  }
}

extension NamedSource {
  var problem: Problem {
    let name = path.isEmpty ? "no path is given" : "\(path) does not exist"
    return Problem(
      "\(setting): \(name): \(what)",
      remedy: (HubName.remedy(path, isDataset: setting == "ingest.source")
        ?? "put it there, or give its path")
        + ": --set \(override ?? "\(setting)=PATH")",
      .input)
  }
}
