import DataStages
package import StageSupport

extension PipelineScale {
  /// What the stages' settings say of one another, and what there is of data.
  ///
  /// - Parameter standIns: for data that is not there
  init(_ stages: [any Estimating], standIns: StandIns) throws {
    let isThere = standIns.publishedData.isEmpty && standIns.lists.isEmpty
    try self.init(stages, volume: isThere ? nil : DataVolume(standIns))
  }

  /// - Parameter volume: of the data; nil: the sources are looked at
  package init(_ stages: [any Estimating], volume: DataVolume? = nil) throws {
    let ingest = stages.lazy.compactMap { $0 as? Ingest }.first
    let encode = stages.lazy.compactMap { $0 as? Encode }.first
    self.init(
      stages, layout: try encode?.layout(), volume: try volume ?? ingest?.volume() ?? DataVolume())
  }
}
