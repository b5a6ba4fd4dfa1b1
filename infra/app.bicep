// One Flex Consumption app in a plan of its own (the plan takes one app). Called twice: same code, two entry scripts.
param location string
param tags object
@description('Its name in azure.yaml. azd finds the app by it, so nothing else may carry the tag.')
param service string
param name string
param settings object
param identityId string
@description('Container that deployments are kept in.')
param packageUrl string
param workspaceId string
param endpointSubnetId string
param zones object
@description('Subnet that the app reaches its private endpoints from; empty without a network.')
param appSubnetId string
param maximumInstanceCount int
param httpConcurrency int
@description('Set to switch on App Service authentication.')
param easyAuthClientId string
param authTenantId string

var private = !empty(endpointSubnetId)

// Event Grid cannot deliver through a private endpoint: with a network it is the one public caller that is let in.
var restrictions = private
  ? [
      {
        name: 'event-grid'
        priority: 100
        action: 'Allow'
        tag: 'ServiceTag'
        ipAddress: 'AzureEventGrid'
      }
    ]
  : []

var easyAuth = {
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: true }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
      // Health is anybody's; Event Grid proves itself with its key.
      excludedPaths: ['/api/health', '/api/ready', '/runtime/webhooks/EventGrid', '/runtime/webhooks/eventgrid']
    }
    httpSettings: { requireHttps: true }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          openIdIssuer: '${environment().authentication.loginEndpoint}${authTenantId}/v2.0'
          clientId: easyAuthClientId
        }
        validation: {
          allowedAudiences: [easyAuthClientId, 'api://${easyAuthClientId}']
        }
      }
    }
    login: { tokenStore: { enabled: false } }
  }
}

module plan 'br/public:avm/res/web/serverfarm:0.7.0' = {
  params: {
    name: 'plan-${name}'
    location: location
    tags: tags
    enableTelemetry: false
    skuName: 'FC1'
    kind: 'functionapp'
    reserved: true
    zoneRedundant: false
  }
}

module site 'br/public:avm/res/web/site:0.24.0' = {
  params: {
    name: name
    location: location
    tags: union(tags, { 'azd-service-name': service })
    enableTelemetry: false
    kind: 'functionapp,linux'
    serverFarmResourceId: plan.outputs.resourceId
    managedIdentities: { userAssignedResourceIds: [identityId] }
    keyVaultAccessIdentityResourceId: identityId
    httpsOnly: true
    basicPublishingCredentialsPolicies: [
      { name: 'ftp', allow: false }
      { name: 'scm', allow: false }
    ]
    virtualNetworkSubnetResourceId: private ? appSubnetId : null
    publicNetworkAccess: 'Enabled'
    privateEndpoints: private
      ? [
          {
            service: 'sites'
            tags: tags
            subnetResourceId: endpointSubnetId
            privateDnsZoneGroup: { privateDnsZoneGroupConfigs: [{ privateDnsZoneResourceId: zones.sites }] }
          }
        ]
      : []
    siteConfig: {
      alwaysOn: false
      minTlsVersion: '1.2'
      ipSecurityRestrictions: restrictions
      ipSecurityRestrictionsDefaultAction: private ? 'Deny' : 'Allow'
      // Deployments come through this door and sign in with Entra; close it when they come from inside the network.
      scmIpSecurityRestrictionsUseMain: false
      scmIpSecurityRestrictionsDefaultAction: 'Allow'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: maximumInstanceCount
        triggers: { http: { perInstanceConcurrency: httpConcurrency } }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
    }
    configs: concat(
      [
        {
          name: 'appsettings'
          properties: settings
          retainCurrentAppSettings: false
        }
      ],
      empty(easyAuthClientId) ? [] : [easyAuth]
    )
    diagnosticSettings: [{ workspaceResourceId: workspaceId, metricCategories: [{ category: 'AllMetrics' }] }]
  }
}

output resourceId string = site.outputs.resourceId
output hostName string = site.outputs.defaultHostname
