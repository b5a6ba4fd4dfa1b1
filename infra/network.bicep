// Only with privateNetwork: the apps' subnet, one for private endpoints, and the names that lead to them.
// Azure Monitor is still reached over its public address.
param location string
param tags object
param token string

var zoneNames = {
  cosmos: 'privatelink.documents.azure.com'
  serviceBus: 'privatelink.servicebus.windows.net'
  eventGrid: 'privatelink.eventgrid.azure.net'
  blob: 'privatelink.blob.${environment().suffixes.storage}'
  sites: 'privatelink.azurewebsites.net'
  openAi: 'privatelink.openai.azure.com'
  vault: 'privatelink.vaultcore.azure.net'
}

module vnet 'br/public:avm/res/network/virtual-network:0.10.1' = {
  params: {
    name: 'vnet-${token}'
    location: location
    tags: tags
    enableTelemetry: false
    addressPrefixes: ['10.0.0.0/16']
    subnets: [
      {
        name: 'apps'
        addressPrefix: '10.0.0.0/24'
        delegation: 'Microsoft.App/environments'
      }
      {
        name: 'endpoints'
        addressPrefix: '10.0.1.0/24'
        privateEndpointNetworkPolicies: 'Disabled'
      }
      {
        name: 'gateway'
        addressPrefix: '10.0.2.0/24'
        delegation: 'Microsoft.Web/serverFarms'
      }
    ]
  }
}

module zone 'br/public:avm/res/network/private-dns-zone:0.8.1' = [
  for one in items(zoneNames): {
    params: {
      name: one.value
      tags: tags
      enableTelemetry: false
      virtualNetworkLinks: [
        {
          virtualNetworkResourceId: vnet.outputs.resourceId
        }
      ]
    }
  }
]

var prefix = '${resourceGroup().id}/providers/Microsoft.Network/privateDnsZones/'

output appSubnetId string = '${vnet.outputs.resourceId}/subnets/apps'
output endpointSubnetId string = '${vnet.outputs.resourceId}/subnets/endpoints'
output gatewaySubnetId string = '${vnet.outputs.resourceId}/subnets/gateway'
output zones object = {
  cosmos: '${prefix}${zoneNames.cosmos}'
  serviceBus: '${prefix}${zoneNames.serviceBus}'
  eventGrid: '${prefix}${zoneNames.eventGrid}'
  blob: '${prefix}${zoneNames.blob}'
  sites: '${prefix}${zoneNames.sites}'
  openAi: '${prefix}${zoneNames.openAi}'
  vault: '${prefix}${zoneNames.vault}'
}
