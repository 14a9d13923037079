import Diffusion

/// What is known of models and data that are not there yet.
package struct StandIns {
  /// By path.
  let models: [String: PublishedModel]
  /// Patterns of data that is as published.
  let publishedData: [String]
  /// Patterns of lists of prompts, whose length is not known.
  let lists: [String]

  /// Nil if nothing is known of something.
  init?(_ missing: [NamedSource]) {
    var models: [String: PublishedModel] = [:]
    var (data, lists): ([String], [String]) = ([], [])
    for source in missing {
      if let model = source.standIn {
        models[source.path] = model
      } else if source.path.contains("pickapic") {
        data.append(source.path)
      } else if source.path.hasSuffix(".json"), source.setting == "ingest.source" {
        lists.append(source.path)
      } else {
        return nil
      }
    }
    self.models = models
    publishedData = data
    self.lists = lists
  }

  var notes: [String] {
    models.sorted { $0.key < $1.key }.map { path, model in
      "\(path) is not there: estimated as \(model.name), as published, with weights of single precision"
    }
      + (publishedData.isEmpty
        ? []
        : [
          "\(publishedData.joined(separator: ", ")): estimated as Pick-a-Pic v1, with about "
            + "\(DataVolume.published.rows) comparisons of as many images"
        ])
      + lists.map { "\($0) is not there: estimated as \(DataVolume.listedPrompts) prompts" }
  }
}

extension DataVolume {
  /// Prompts of a list that is not there.
  static let listedPrompts = 4_000

  /// Pick-a-Pic v1: its card counts the rows, its paper the prompts.
  ///
  /// - Source: Kirstain et al. 2023, arXiv 2305.01569
  static let published: DataVolume = {
    var volume = DataVolume()
    volume.rowsBySplit = ["train": 583_747, "validation_unique": 500]
    volume.rows = 584_247
    // Each comparison shows about one picture that no other shows.
    volume.images = volume.rows
    volume.prompts = 35_000
    volume.sourceByteCount = 193_000_000_000
    volume.secondsPerRow = 1e-4
    volume.secondsPerImage = 5e-3
    return volume
  }()

  /// As it may be where some of it is missing.
  init(_ standIns: StandIns) {
    self = standIns.publishedData.isEmpty ? DataVolume() : .published
    listedPrompts = standIns.lists.count * Self.listedPrompts
    prompts += listedPrompts
  }
}
