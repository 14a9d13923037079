import HostResources

/// The division of tiles among threads.
extension WinogradTiles {
  /// Tiles per block when each thread has its own: transformed, those of 64 channels fill half of a
  /// second-level cache.
  private static let ownTiles = 24
  /// Transformed input floats when the threads share them: many, since the kernel is recomputed for
  /// each block, but with fast tiles no more than stay in a third-level cache.
  private static func sharedCount(_ form: TileForm) -> Int {
    form == .narrow ? 9 << 20 : 5 << 20
  }

  /// Returns the tiles that a thread takes through all steps together.
  func ownSize(_ form: TileForm) -> Int {
    let share = (count + Threads.count - 1) / Threads.count
    return min(Self.ownTiles, (share + form.rows - 1) / form.rows * form.rows)
  }

  /// Returns the tiles that threads share per block.
  func sharedSize(_ tileForm: TileForm) -> Int {
    let most = max(96, Self.sharedCount(tileForm) / (form.inputPlanes * inputChannels))
    let passes = (count + most - 1) / most
    return (count + passes - 1) / max(1, passes)
  }

  /// Returns the part of a recomputed kernel that is made at a time: input channels, and panels of
  /// the output's.
  ///
  /// Few tiles reread it so soon that it should stay in a second-level cache. With many, adjacent
  /// panels read a transformed tile together, and products are accumulated less often.
  func partOfKernel(_ form: TileForm) -> (channels: Int, panels: Int) {
    if count < 96 { return (128, 32 / form.columns) }
    return (320, form == .narrow ? 4 : 1)
  }

  /// Returns a number of adjacent panels that gives the threads equal shares.
  func panelsAtOnce(_ form: TileForm, of panelCount: Int) -> Int {
    let fitting = (1...partOfKernel(form).panels).last { size in
      let groups = (panelCount + size - 1) / size
      return groups % Threads.count == 0 || groups >= 8 * Threads.count
    }
    return fitting ?? 1
  }

  /// Returns the input channels of the part of a recomputed kernel that is made at a time.
  func channelsAtOnce(_ form: TileForm) -> Int { min(partOfKernel(form).channels, inputChannels) }

  /// Returns the memory of each thread that has tiles of its own.
  func ownMemory(
    _ tileForm: TileForm
  ) -> (inputs: WinogradPlanesSize, products: WinogradPlanesSize, scratchChannels: Int) {
    let (size, columns) = (ownSize(tileForm), tileForm.columns)
    return (
      WinogradPlanesSize(form.inputPlanes, tiles: size, channels: inputChannels),
      WinogradPlanesSize(form.planes, tiles: size, channels: columns), max(inputChannels, columns)
    )
  }

  /// Returns the size of the transformed tiles that threads share.
  func sharedInputs(_ tileForm: TileForm) -> WinogradPlanesSize {
    WinogradPlanesSize(form.inputPlanes, tiles: sharedSize(tileForm), channels: inputChannels)
  }

  /// Returns the memory of each thread that recomputes adjacent panels of the kernel, one block of products per
  /// panel.
  func panelMemory(
    _ tileForm: TileForm, tileCount: Int, panels: Int
  ) -> (kernel: WinogradPlanesSize, products: WinogradPlanesSize) {
    let columns = tileForm.columns
    return (
      WinogradPlanesSize(
        form.planes, tiles: channelsAtOnce(tileForm), channels: panels * columns),
      WinogradPlanesSize(form.planes, tiles: tileCount, channels: columns)
    )
  }

  /// Returns the memory of ``convolveByWinograd(_:_:bias:into:_:)``.
  ///
  /// - Parameter name: the kernel's, if it is cached
  func memory(named name: String) -> ConvolutionMemory {
    let tileForm = TileForm.native
    let held =
      [paddedChannels]
      + (paddedChannels > outputChannels ? [pixelCount * paddedChannels] : [])
    func fillCounts(channels: Int, width: Int) -> [Int] {
      [WinogradPanels.weightsSize(channels: channels, width: width).count]
        + WinogradScratch.counts(channels: WinogradPanels.scratchChannels)
    }
    if WinogradPanels.isSmall(rows: inputChannels, paddedColumns: paddedChannels) {
      let size = ownSize(tileForm)
      let own = ownMemory(tileForm)
      let threads = WorkingMemory.ofThreads(
        (count + size - 1) / max(1, size),
        [own.inputs.count, own.products.count]
          + WinogradScratch.counts(channels: own.scratchChannels))
      return ConvolutionMemory(
        kept: [(name, WinogradPanels.count(form, rows: inputChannels, paddedChannels))],
        making: WorkingMemory(
          fillCounts(channels: inputChannels, width: min(tileForm.columns, paddedChannels))),
        working: WorkingMemory(held, then: [threads]))
    }
    let panelCount = (paddedChannels + tileForm.columns - 1) / tileForm.columns
    let panels = panelsAtOnce(tileForm, of: panelCount)
    let (kernel, products) = panelMemory(
      tileForm, tileCount: sharedSize(tileForm), panels: panels)
    let working = WorkingMemory(
      held + [sharedInputs(tileForm).count],
      then: [
        .ofThreads(count, WinogradScratch.counts(channels: inputChannels)),
        .ofThreads(
          (panelCount + panels - 1) / panels,
          [kernel.count] + [Int](repeating: products.count, count: panels)
            + WinogradScratch.counts(channels: tileForm.columns)
            + fillCounts(
              channels: channelsAtOnce(tileForm), width: panels * tileForm.columns)),
      ])
    return ConvolutionMemory(kept: [], making: WorkingMemory(), working: working)
  }
}

extension WinogradWeightGradient {
  /// The blocks of ``run(into:)``.
  struct Memory {
    let sums: Int
    let inputs: WinogradPlanesSize
    let gradients: WinogradPlanesSize
    let scratchChannels: Int

    init(_ tiles: WinogradTiles) {
      let (inputChannels, outputChannels) = (tiles.inputChannels, tiles.outputChannels)
      let size = tilesAtOnce(tiles)
      sums = Winograd.planes * inputChannels * outputChannels
      inputs = WinogradPlanesSize(Winograd.planes, tiles: size, channels: inputChannels)
      gradients = WinogradPlanesSize(Winograd.planes, tiles: size, channels: outputChannels)
      scratchChannels = max(inputChannels, outputChannels)
    }
  }

  /// Returns the memory of ``run(into:)``.
  static func workingMemory(_ shape: ConvolutionShape) -> WorkingMemory {
    let tiles = WinogradTiles(shape)
    let memory = Memory(tiles)
    return WorkingMemory(
      [memory.sums, memory.inputs.count, memory.gradients.count],
      then: [
        .ofThreads(tiles.count, WinogradScratch.counts(channels: memory.scratchChannels)),
        .ofThreads(
          tiles.inputChannels, WinogradScratch.counts(channels: WinogradPanels.scratchChannels)),
      ])
  }
}
