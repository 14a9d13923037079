import Diffusion
import Files
import Foundation
import StageSupport

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

  /// How much of the training data the patterns name, by its files; all of it where they name a folder.
  fileprivate var publishedShare: Double {
    let count = 387
    let patterns = publishedData.map { PathPattern($0) }
    let named = (0..<count).count { number in
      let name = String(format: "train-%05d-of-%05d-0123456789abcdef.parquet", number, count)
      return patterns.contains { $0.matches(fileName: name) }
    }
    return named == 0 ? 1 : Double(named) / Double(count)
  }

  var notes: [String] {
    models.sorted { $0.key < $1.key }.map { path, model in
      "\(path) does not exist: estimated as \(model.name), as published, with single-precision weights"
    }
      + (publishedData.isEmpty
        ? []
        : [
          "\(publishedData.joined(separator: ", ")): estimated as Pick-a-Pic v1, with about "
            + "\(DataVolume.published(publishedShare).rows) comparisons and as many images"
        ])
      + lists.map { "\($0) does not exist: estimated as \(DataVolume.promptsOfList) prompts" }
  }
}

extension DataVolume {
  /// Prompts of a list that is not there.
  static let promptsOfList = 4_000

  /// Pick-a-Pic v1, or a share of its training files: its card counts the rows, its paper the prompts.
  ///
  /// - Source: Kirstain et al. 2023, arXiv 2305.01569
  static func published(_ share: Double) -> DataVolume {
    func part(_ count: Int) -> Int { Int(Double(count) * share) }
    var volume = DataVolume()
    volume.rowsBySplit = ["train": part(583_747), "validation_unique": 500]
    volume.rows = part(583_747) + 500
    // Each comparison shows about one image that no other shows.
    volume.images = volume.rows
    volume.prompts = part(34_500) + 500
    volume.sourceByteCount = part(193_000_000_000)
    volume.secondsPerRow = 1e-4
    volume.secondsPerImage = 5e-3
    return volume
  }

  /// As it may be where some of it is missing.
  init(_ standIns: StandIns) {
    self =
      standIns.publishedData.isEmpty ? DataVolume() : .published(standIns.publishedShare)
    listedPrompts = standIns.lists.count * Self.promptsOfList
    prompts += listedPrompts
  }
}
